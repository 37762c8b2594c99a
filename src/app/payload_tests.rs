use std::collections::{BTreeMap, HashSet};

use flate2::bufread::GzDecoder;

use super::*;
use crate::app::changes::to_send;
use crate::app::manifest::Manifest;
use crate::app::scan;

/// Bytes that do not compress.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..size).map(|_| step()).collect()
}

fn send(root: &Path, manifest: &Manifest) -> Result<(Sent, Vec<u8>), Error> {
    let mut out = Vec::new();
    let files = to_send(manifest, &HashSet::new());
    let sent = write(root, &files, &mut out, &mut |_| {})?;
    Ok((sent, out))
}

fn members(stream: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut rest = stream;
    let mut whole = Vec::new();
    GzDecoder::new(&mut rest).read_to_end(&mut whole).unwrap();
    whole.extend_from_slice(rest);
    let mut archive = tar::Archive::new(whole.as_slice());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (name, content)
    });
    entries.collect()
}

#[test]
fn every_content_arrives_once() {
    let dir = tempfile::tempdir().unwrap();
    let contents = [
        ("empty", Vec::new()),
        ("text.txt", b"hello\n".repeat(50_000)),
        ("copy of text", b"hello\n".repeat(50_000)),
        ("picture.PNG", noise(300_001)),
        ("noise", noise(512 * 1024)),
        ("block", vec![7; 512]),
        ("new\nline \"'", b"x".to_vec()),
    ];
    for (name, content) in &contents {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    let manifest = scan(dir.path()).unwrap();
    let mut done = Vec::new();
    let files = to_send(&manifest, &HashSet::new());
    let mut stream = Vec::new();
    let sent = write(dir.path(), &files, &mut stream, &mut |bytes| done.push(bytes)).unwrap();
    let arrived = members(&stream);
    assert_eq!((sent.files, arrived.len()), (6, 6));
    for file in &manifest.files {
        let (_, content) = contents.iter().find(|(name, _)| *name == file.path).unwrap();
        assert_eq!(&arrived[&file.sha256], content, "{}", file.path);
    }
    assert_eq!(sent.bytes, 300_000 + 300_001 + 512 * 1024 + 512 + 1);
    assert_eq!(done.last(), Some(&sent.bytes));
    assert!(done.is_sorted());
    let (noise, overhead) = (300_001 + 512 * 1024, 20_000);
    assert!(stream.len() < noise + overhead, "{}", stream.len());
}

#[test]
fn nothing_to_send_is_an_empty_archive() {
    let (sent, stream) = send(Path::new("/nonexistent"), &Manifest::default()).unwrap();
    assert_eq!(sent, Sent::default());
    assert!(members(&stream).is_empty());
}

#[test]
fn a_file_that_is_not_what_it_was_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    std::fs::write(&path, "one").unwrap();
    let manifest = scan(dir.path()).unwrap();
    let failed = || send(dir.path(), &manifest).unwrap_err().to_string();
    std::fs::write(&path, "two").unwrap();
    insta::assert_snapshot!(failed(), @r#""a" changed while it was sent"#);
    std::fs::write(&path, "three").unwrap();
    insta::assert_snapshot!(failed(), @r#""a" changed while it was sent"#);
    std::fs::remove_file(&path).unwrap();
    insta::assert_snapshot!(failed(), @r#""a" is gone since the directory was read"#);
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    insta::assert_snapshot!(failed(), @r#""a" changed while it was sent"#);
}

#[test]
fn an_output_that_fails_is_an_error() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a"), noise(1 << 20)).unwrap();
    let manifest = scan(dir.path()).unwrap();
    let error = write(dir.path(), &to_send(&manifest, &HashSet::new()), Broken, &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::Send(_)));
}
