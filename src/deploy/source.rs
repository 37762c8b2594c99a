//! What is to be deployed: a directory, read once.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::slot_conf;
use crate::app::{self, Manifest};
use crate::config::{AppConfig, app_ini};
use crate::error::Failure;
use crate::names::AppName;
use crate::node::Program;

/// A directory as it is now: its settings and its files with their hashes.
#[derive(Debug)]
pub struct Source {
    pub dir: PathBuf,
    pub config: AppConfig,
    pub manifest: Manifest,
    pub slot_conf: String,
    /// The identity of a release made of this: files, settings, configuration of the slot.
    pub digest: String,
}

impl Source {
    /// Reads and validates `app.ini`; `name` replaces its `app_name`.
    pub fn config(dir: &Path, name: Option<&AppName>) -> Result<AppConfig, Failure> {
        let services = Program::services();
        let services: Vec<&str> = services.iter().map(String::as_str).collect();
        let mut config = app_ini::load(dir, &services)?;
        if let Some(name) = name {
            config.name = name.clone();
        }
        Ok(config)
    }

    /// Walks and hashes the directory of a validated app.
    pub fn scan(dir: &Path, config: AppConfig) -> Result<Self, Failure> {
        let manifest = app::scan(dir)?;
        config.check_travels(|path| manifest.has(path))?;
        let slot_conf = slot_conf::render(&config)?;
        let digest = manifest.digest(&json!({
            "app": config.name, "settings": config.settings, "slot_conf": slot_conf,
        }));
        Ok(Source { dir: dir.to_owned(), config, manifest, slot_conf, digest })
    }
}
