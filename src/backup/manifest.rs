//! What a backup says of itself, as far as it is shown: the node checks the rest (`docs/architecture.md`, "Backups").

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Manifest {
    /// Also its time: `20260101T101500Z`.
    pub id: String,
    pub app: String,
    pub at: String,
    pub by: String,
    pub node: String,
    pub release: String,
    /// How long it took.
    pub seconds: f64,
    /// For whom it is encrypted; nobody: it is not.
    pub recipients: Vec<String>,
    pub services: BTreeMap<String, Share>,
    /// The services that are not in it, and why.
    pub left_out: BTreeMap<String, String>,
    pub objects: BTreeMap<String, Object>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Share {
    /// How many rows, keys or files there are of what.
    pub counts: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Object {
    pub bytes: u64,
}

impl Manifest {
    /// Bytes of all that it consists of, also what it shares with earlier backups.
    pub fn bytes(&self) -> u64 {
        self.objects.values().map(|object| object.bytes).sum()
    }

    /// Bytes that it added to its destination.
    pub fn added(&self) -> u64 {
        self.objects.iter().filter(|(name, _)| name.starts_with(&self.id)).map(|(_, object)| object.bytes).sum()
    }
}

/// # Errors
/// What is wrong with the text.
pub fn parse(text: &[u8]) -> Result<Manifest, String> {
    serde_json::from_slice(text).map_err(|error| error.to_string())
}

/// The backups in a directory of this machine, the newest first, and what looks like one and cannot be read, with the reason.
///
/// # Errors
/// When the directory cannot be read. One that is not there has no backups.
pub fn list(dir: &Path) -> io::Result<(Vec<Manifest>, Vec<String>)> {
    let (mut found, mut broken) = (Vec::new(), Vec::new());
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((found, broken)),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        match fs::read(&path).map_err(|error| error.to_string()).and_then(|text| parse(&text)) {
            Ok(manifest) => found.push(manifest),
            Err(reason) => broken.push(format!("{} is no manifest of a backup: {reason}", path.display())),
        }
    }
    found.sort_by(|a, b| b.id.cmp(&a.id));
    Ok((found, broken))
}
