//! What a node says about itself and an app, in one round trip.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Basis, Error};
use crate::app::Manifest;
use crate::config::Settings;
use crate::names::{AppName, Location, ReleaseId};

/// The answer to `probe` (docs/architecture.md).
#[derive(Debug, Clone, Deserialize)]
pub struct Probe {
    pub program: String,
    pub node: NodeFacts,
    pub app: Option<AppFacts>,
    /// The names of what is set for the app (`cloudtool config`), also when it is not there.
    #[serde(default)]
    pub values: Vec<String>,
    /// What the app is, when a plan was asked for.
    #[serde(default)]
    pub basis: Option<Basis>,
    /// Which of the asked locations belong to another app, and to which.
    #[serde(default)]
    pub taken: BTreeMap<String, String>,
    pub lock: Option<Lock>,
}

/// Facts of the node itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeFacts {
    pub hostname: String,
    pub os: String,
    pub os_id: String,
    pub os_version: String,
    pub python: String,
    pub arch: String,
    pub memory_mb: u64,
    pub disk_free_mb: u64,
    pub virtualization: Option<String>,
    /// The services that are installed.
    #[serde(default)]
    pub services: Vec<String>,
}

/// Facts of one app on the node.
#[derive(Debug, Clone, Deserialize)]
pub struct AppFacts {
    pub live: Option<ReleaseId>,
    pub previous: Option<ReleaseId>,
    pub slot: Option<String>,
    /// When the live release was switched to, and by whom.
    #[serde(default)]
    pub since: Option<String>,
    #[serde(default)]
    pub by: Option<String>,
    #[serde(default)]
    pub locations: Vec<Location>,
    /// The live release is what we asked about, and runs.
    #[serde(default)]
    pub same: bool,
    /// Of the live release.
    #[serde(default)]
    pub digest: Option<String>,
    /// The node backs it up by itself.
    #[serde(default)]
    pub scheduled: bool,
    pub next: ReleaseId,
    /// Contents that need not travel, `SHA256:MODE`. Left out when `same`.
    #[serde(default)]
    pub have: HashSet<String>,
    /// The live release's files and settings, when a plan was asked for.
    pub manifest: Option<Manifest>,
    pub settings: Option<Settings>,
}

/// Who changes this app right now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lock {
    pub owner: String,
    pub verb: String,
    pub since: String,
}

impl Probe {
    /// The request. `manifest`: the answer shall hold the files and settings of the live release, to show what changes.
    pub fn request(app: Option<&AppName>, digest: Option<&str>, locations: &[Location], manifest: bool) -> Value {
        json!({"verb": "probe", "app": app, "digest": digest, "locations": locations, "manifest": manifest})
    }

    pub fn parse(node: &str, answer: Value) -> Result<Self, Error> {
        serde_json::from_value(answer)
            .map_err(|error| Error::Facts { node: node.to_owned(), reason: error.to_string() })
    }
}
