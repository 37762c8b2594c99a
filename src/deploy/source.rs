//! What is to be deployed: a directory, read once.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::lent::{self, Lent};
use super::slot_conf;
use crate::app::{self, Manifest};
use crate::config::app_ini::Known;
use crate::config::{AppConfig, ServiceUse, app_ini};
use crate::error::Failure;
use crate::names::AppName;
use crate::node::Services;

/// A directory as it is now: its settings and its files with their hashes.
#[derive(Debug)]
pub struct Source {
    pub dir: PathBuf,
    pub config: AppConfig,
    pub manifest: Manifest,
    pub slot_conf: String,
    /// The folders of services that are the user's own, see [`Services::own_folders`].
    pub own_services: Map<String, Value>,
    /// The services that other nodes lend it.
    pub lent: Vec<Lent>,
    /// The identity of a release made of this: files, settings, configuration of the slot.
    pub digest: String,
}

impl Source {
    /// Reads and validates `app.ini`; `name` replaces its `app_name`.
    pub fn config(dir: &Path, name: Option<&AppName>, services: &Services) -> Result<AppConfig, Failure> {
        let names = services.names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let misplaced = |asked: &[ServiceUse]| lent::lent(asked, services).1;
        let mut config = app_ini::load(dir, Known { services: &names, misplaced: &misplaced })?;
        if let Some(name) = name {
            config.name = name.clone();
        }
        Ok(config)
    }

    /// Walks and hashes the directory of a validated app.
    pub fn scan(dir: &Path, config: AppConfig, services: &Services) -> Result<Self, Failure> {
        let manifest = app::scan(dir)?;
        config.check_travels(|path| manifest.has(path))?;
        let slot_conf = slot_conf::render(&config)?;
        let asked: Vec<String> = config.settings.services.iter().map(|service| service.name.clone()).collect();
        let own_services = services.own_folders(&services.with_required(&asked));
        let (lent, _) = lent::lent(&config.settings.services, services);
        let mut more = json!({"app": config.name, "settings": config.settings, "slot_conf": slot_conf});
        if !own_services.is_empty() {
            more["own_services"] = json!(own_services);
        }
        let digest = manifest.digest(&more);
        Ok(Source { dir: dir.to_owned(), config, manifest, slot_conf, own_services, lent, digest })
    }
}
