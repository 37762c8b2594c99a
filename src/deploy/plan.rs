//! The plan of an update: what would be done, computed without touching anything.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Error, Probe, Source};
use crate::app::{FileEntry, changes};
use crate::config::Settings;
use crate::names::{AppName, Location, ReleaseId};
use crate::node::Program;

/// What an update would do.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    pub app: AppName,
    pub node: String,
    pub action: Action,
    /// The release that serves now.
    pub live: Option<ReleaseId>,
    /// All locations afterwards that were asked for.
    pub locations: Vec<Location>,
    pub new_locations: Vec<Location>,
    /// How many contents travel, and their bytes.
    pub upload_files: usize,
    pub upload_bytes: u64,
    /// Paths; only known when the node was asked for its manifest.
    pub files: changes::Changes,
    pub new_packages: Vec<String>,
    pub new_services: Vec<String>,
    /// Names of settings that differ; values are not shown, they may be secret.
    pub changed_settings: Vec<String>,
    pub hooks: Vec<String>,
}

/// The kinds of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The app is not on the node.
    Create,
    /// A new release.
    Release,
    /// The release is live already, a location is new.
    AddLocations,
    Nothing,
}

impl Plan {
    /// Decides. `locations`: where the app shall be reached, none: where it is now. `force`: a new release even when nothing changed.
    ///
    /// Fails when a location belongs to another app, or when something is not set that the app says it needs.
    pub fn new(source: &Source, locations: &[Location], probe: &Probe, node: &str, force: bool) -> Result<Self, Error> {
        if let Some((location, owner)) = probe.taken.iter().next() {
            return Err(Error::LocationTaken {
                location: location.clone(),
                owner: owner.clone(),
                node: node.to_owned(),
            });
        }
        let app = probe.app.as_ref();
        let here: &[Location] = app.map_or(&[], |app| &app.locations);
        let wanted = if locations.is_empty() { here.to_vec() } else { locations.to_vec() };
        let new_locations: Vec<Location> = wanted.iter().filter(|location| !here.contains(location)).cloned().collect();
        let live = app.and_then(|app| app.live.clone());
        let same = app.is_some_and(|app| app.same) && !force;
        let action = match (&live, same, new_locations.is_empty()) {
            (Some(_), true, true) => Action::Nothing,
            (Some(_), true, false) => Action::AddLocations,
            (Some(_), false, _) => Action::Release,
            (None, _, _) => Action::Create,
        };
        let settings = &source.config.settings;
        let unset = unset(settings, &probe.values);
        if !unset.is_empty() {
            return Err(Error::Unset { app: source.config.name.clone(), node: node.to_owned(), names: unset });
        }
        let before = app.and_then(|app| app.settings.as_ref());
        let mut plan = Plan {
            app: source.config.name.clone(),
            node: node.to_owned(),
            action,
            live,
            locations: wanted,
            new_locations,
            upload_files: 0,
            upload_bytes: 0,
            files: changes::Changes::default(),
            new_packages: added(before.map(|s| s.packages.as_slice()), &settings.packages),
            new_services: added(
                before.map(|s| s.services.iter().map(|service| service.name.clone()).collect::<Vec<_>>()).as_deref(),
                &settings.services.iter().map(|service| service.name.clone()).collect::<Vec<_>>(),
            ),
            changed_settings: before.map(|before| changed_settings(before, settings)).unwrap_or_default(),
            hooks: settings.update_fetch.iter().map(describe_hook).collect(),
        };
        if matches!(plan.action, Action::Create | Action::Release) {
            let travelling = plan.uploads(source, probe);
            plan.upload_files = travelling.len();
            plan.upload_bytes = travelling.iter().map(|file| file.size).sum();
            let old = app.and_then(|app| app.manifest.clone()).unwrap_or_default();
            plan.files = changes::Changes::between(&old, &source.manifest);
        }
        Ok(plan)
    }

    /// The files whose contents travel.
    pub fn uploads<'s>(&self, source: &'s Source, probe: &Probe) -> Vec<&'s FileEntry> {
        let none = Default::default();
        changes::to_send(&source.manifest, probe.app.as_ref().map_or(&none, |app| &app.have))
    }

    /// The `deploy` request that carries it out.
    pub fn request(&self, source: &Source, note: &str, keep: u32, service_settings: &Value, force: bool) -> Value {
        json!({
            "verb": "deploy",
            "program": Program::version(),
            "app": self.app,
            "digest": source.digest,
            "note": note,
            "expect": {"live": self.live},
            "force": force,
            "locations": self.locations,
            "settings": source.config.settings,
            "slot_conf": source.slot_conf,
            "manifest": source.manifest,
            "service_settings": service_settings,
            "own_services": source.own_services,
            "keep": keep,
        })
    }
}

/// What must be set for the app, and is not. `set`: what is.
fn unset(settings: &Settings, set: &[String]) -> Vec<String> {
    let Some(config) = &settings.config else { return Vec::new() };
    let lacking = |name: &&String| !set.contains(name) && !config.default.contains_key(*name);
    config.required.iter().filter(lacking).cloned().collect()
}

fn added(before: Option<&[String]>, now: &[String]) -> Vec<String> {
    let before: BTreeSet<&String> = before.unwrap_or_default().iter().collect();
    now.iter().filter(|name| !before.contains(name)).cloned().collect()
}

/// The top-level names of settings that differ, and `env.NAME` for variables.
fn changed_settings(before: &Settings, now: &Settings) -> Vec<String> {
    // Settings are plain data: they always serialise.
    let (Ok(Value::Object(old)), Ok(Value::Object(new))) = (serde_json::to_value(before), serde_json::to_value(now))
    else {
        return Vec::new();
    };
    let mut changed: Vec<String> = new
        .iter()
        .filter(|(name, value)| *name != "env" && old.get(*name) != Some(value))
        .map(|(name, _)| name.clone())
        .collect();
    let names: BTreeSet<&String> = before.env.keys().chain(now.env.keys()).collect();
    changed.extend(
        names.into_iter().filter(|name| before.env.get(*name) != now.env.get(*name)).map(|name| format!("env.{name}")),
    );
    changed
}

fn describe_hook(fetch: &crate::config::Fetch) -> String {
    match fetch {
        crate::config::Fetch::Fetch(path) => format!("fetch {path}"),
        crate::config::Fetch::Script(words) => format!("script {}", words.join(" ")),
    }
}
