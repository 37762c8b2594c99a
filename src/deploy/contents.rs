//! Files of the live release, as the node sends them to be compared (`contents` in docs/architecture.md). Pure.

use std::collections::BTreeMap;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Error;
use crate::app::FileEntry;
use crate::names::{AppName, ReleaseId};

/// The request for these files of a release, which must still be the live one.
pub fn request(app: &AppName, release: &ReleaseId, files: &[&FileEntry]) -> Value {
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    json!({"verb": "contents", "app": app, "release": release, "paths": paths})
}

/// The contents by path: of what was asked for, and nothing that is not what the manifest says.
pub fn parse(node: &str, files: &[&FileEntry], answer: &Value) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let content = |file: &&FileEntry| {
        let bytes = answer["files"][&file.path].as_str().and_then(|text| unpacked(text, file.size));
        let whole = bytes.filter(|bytes| hex::encode(Sha256::digest(bytes)) == file.sha256);
        let reason = || format!("what it sends of {:?} is not what the release was made of", file.path);
        Ok((file.path.clone(), whole.ok_or_else(|| Error::Facts { node: node.to_owned(), reason: reason() })?))
    };
    files.iter().map(content).collect()
}

/// Never more than was announced, whatever it would unpack to.
fn unpacked(text: &str, size: u64) -> Option<Vec<u8>> {
    let packed = STANDARD.decode(text).ok()?;
    let mut bytes = Vec::new();
    ZlibDecoder::new(&packed[..]).take(size + 1).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Mode;

    #[test]
    fn what_was_not_asked_for_or_is_another_content_is_refused() {
        let sha256 = hex::encode(Sha256::digest(b"hello\n"));
        let file = FileEntry { path: "a".into(), mode: Mode::Plain, size: 6, sha256 };
        // zlib.compress(b"hello\n", 1) and of b"hullo\n", as Python packs them.
        let (hello, hullo) = ("eAHLSM3JyecCAAhLAh8=", "eAHLKM3JyecCAAibAi8=");
        let parse = |answer: Value| parse("web1", &[&file], &answer);
        assert_eq!(
            parse(json!({"files": {"a": hello, "../b": hello}})).unwrap(),
            BTreeMap::from([("a".to_owned(), b"hello\n".to_vec())])
        );
        for other in [json!({"files": {"a": hullo}}), json!({"files": {"a": "?"}}), json!({"files": {}}), json!({})] {
            let error = parse(other.clone()).unwrap_err().to_string();
            assert_eq!(
                error,
                "web1 gave facts that cannot be read: what it sends of \"a\" is not what the release was made of",
                "{other}"
            );
        }
        let short = FileEntry { size: 3, ..file.clone() };
        assert!(super::parse("web1", &[&short], &json!({"files": {"a": hello}})).is_err());
    }
}
