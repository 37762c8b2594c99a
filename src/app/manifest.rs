//! The manifest: every file, link and empty directory of a release, as it is in the node protocol (`docs/architecture.md`).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What a release consists of. All lists are sorted by path; paths are relative and separated by `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub files: Vec<FileEntry>,
    pub links: Vec<LinkEntry>,
    /// Directories with nothing in them.
    pub dirs: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    pub path: String,
    pub mode: Mode,
    /// Bytes.
    pub size: u64,
    /// 64 hex digits.
    pub sha256: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkEntry {
    pub path: String,
    pub target: String,
}

/// All that is kept of a file's permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mode {
    #[serde(rename = "0644")]
    Plain,
    #[serde(rename = "0755")]
    Executable,
}

impl Mode {
    /// As in JSON: `0644` or `0755`.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Plain => "0644",
            Mode::Executable => "0755",
        }
    }
}

impl FileEntry {
    /// What a node says it has of this file: `SHA256:MODE`.
    pub fn key(&self) -> String {
        format!("{}:{}", self.sha256, self.mode.name())
    }
}

impl Manifest {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Whether a file, link or directory of that path is in the release.
    pub fn has(&self, path: &str) -> bool {
        let below = format!("{path}/");
        let covers = |other: &str| other == path || other.starts_with(&below);
        self.files.iter().any(|file| covers(&file.path))
            || self.links.iter().any(|link| covers(&link.path) || below.starts_with(&format!("{}/", link.path)))
            || self.dirs.iter().any(|dir| covers(dir))
    }

    /// The identity of a release: SHA-256 (hex) of the manifest and of `settings`, whatever else decides how it runs. The order of
    /// keys in `settings` does not matter.
    pub fn digest(&self, settings: &Value) -> String {
        let mut hasher = Sha256::new();
        let manifest = serde_json::to_string(self).unwrap_or_else(|error| unreachable!("strings and numbers: {error}"));
        hasher.update(manifest);
        hasher.update(b"\n");
        hasher.update(canonical(settings).to_string());
        hex::encode(hasher.finalize())
    }
}

/// The same value with the keys of all objects sorted.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().map(|(key, value)| (key.clone(), canonical(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(canonical).collect()),
        plain => plain.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample() -> Manifest {
        Manifest {
            files: vec![FileEntry { path: "app.ini".into(), mode: Mode::Plain, size: 12, sha256: "ab".into() }],
            links: vec![LinkEntry { path: "static/x".into(), target: "../y".into() }],
            dirs: vec!["static/empty".into()],
        }
    }

    #[test]
    fn json_is_what_the_node_expects() {
        insta::assert_snapshot!(serde_json::to_string(&sample()).unwrap(), @r#"{"files":[{"path":"app.ini","mode":"0644","size":12,"sha256":"ab"}],"links":[{"path":"static/x","target":"../y"}],"dirs":["static/empty"]}"#);
    }

    #[test]
    fn the_digest_depends_on_content_only() {
        let digest = sample().digest(&json!({"a": 1, "b": {"c": 2, "d": 3}}));
        assert_eq!(digest, sample().digest(&json!({"b": {"d": 3, "c": 2}, "a": 1})));
        assert_ne!(digest, sample().digest(&json!({"a": 2, "b": {"c": 2, "d": 3}})));
        let mut other = sample();
        other.files[0].mode = Mode::Executable;
        assert_ne!(digest, other.digest(&json!({"a": 1, "b": {"c": 2, "d": 3}})));
    }

    #[test]
    fn has_knows_files_links_and_directories() {
        for path in ["app.ini", "static", "static/x", "static/x/below", "static/empty"] {
            assert!(sample().has(path), "{path}");
        }
        for path in ["app", "static/e", "y"] {
            assert!(!sample().has(path), "{path}");
        }
    }
}
