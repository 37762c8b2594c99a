//! The plan of an update: what would be done, computed without touching anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::settings_diff::{self, Names};
use super::{Error, Probe, Source};
use crate::app::{FileEntry, changes};
use crate::config::Settings;
use crate::names::{AppName, Location, ReleaseId};
use crate::node::Program;

/// Of the JSON document; another number where a field means something else than it did.
pub const FORMAT: u32 = 1;

/// What an update would do. As a JSON document it is described in docs/book/src/reviewing.md.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub format: u32,
    pub app: AppName,
    pub node: String,
    pub action: Action,
    /// The release that serves now.
    pub live: Option<ReleaseId>,
    /// A new release is made even when nothing changed.
    pub forced: bool,
    /// All locations afterwards that were asked for.
    pub locations: Vec<Location>,
    pub new_locations: Vec<Location>,
    pub upload: Upload,
    /// Paths; only known when the node was asked for its manifest.
    pub files: changes::Changes,
    pub packages: Names,
    pub services: Names,
    /// Names of settings that differ; values are not shown, they may be secret.
    pub settings: Vec<String>,
    /// Why there is a new release when nothing of the above says it.
    pub besides: Option<Besides>,
    pub hooks: Vec<String>,
    pub made_from: MadeFrom,
}

/// The kinds of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// What travels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Contents, each once.
    pub files: usize,
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Besides {
    /// The live release is the same, and does not run.
    NotRunning,
    /// This program makes something else of app.ini than the one that made the live release, or a service of the user's own has changed.
    MadeDifferently,
}

/// All that a plan depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeFrom {
    /// The version of what this program puts on nodes.
    pub program: String,
    /// Of the directory: its files and settings, and what this program makes of them.
    pub digest: String,
    /// What the app was on the node; only known when the node was asked for it.
    pub basis: Option<Basis>,
}

/// All of an app on its node that its next release builds on (basis.py).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    pub live: Option<ReleaseId>,
    pub locations: Vec<Location>,
    /// Which of its databases and directories it works on, by service; not there: the first.
    pub shares: BTreeMap<String, u32>,
    /// A word for what is set (`cloudtool config`).
    pub set: Option<String>,
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
            format: FORMAT,
            app: source.config.name.clone(),
            node: node.to_owned(),
            action,
            live,
            forced: force,
            locations: wanted,
            new_locations,
            upload: Upload::default(),
            files: changes::Changes::default(),
            packages: settings_diff::packages(before, settings),
            services: settings_diff::services(before, settings),
            settings: before.map(|before| settings_diff::settings(before, settings)).unwrap_or_default(),
            besides: None,
            hooks: settings.update_fetch.iter().map(describe_hook).collect(),
            made_from: MadeFrom {
                program: Program::version().to_owned(),
                digest: source.digest.clone(),
                basis: probe.basis.clone(),
            },
        };
        if matches!(plan.action, Action::Create | Action::Release) {
            let travelling = plan.uploads(source, probe);
            plan.upload = Upload { files: travelling.len(), bytes: travelling.iter().map(|file| file.size).sum() };
            let old = app.and_then(|app| app.manifest.clone()).unwrap_or_default();
            plan.files = changes::Changes::between(&old, &source.manifest);
        }
        plan.besides = plan.reason_of_another_kind(probe);
        Ok(plan)
    }

    /// Only for somebody who looks: otherwise the node does not say what the live release is made of.
    fn reason_of_another_kind(&self, probe: &Probe) -> Option<Besides> {
        let app = probe.app.as_ref().filter(|app| app.settings.is_some())?;
        let shown = !self.files.is_empty()
            || !self.settings.is_empty()
            || !self.packages.is_empty()
            || !self.services.is_empty();
        match self.action {
            Action::Release if shown || self.forced => None,
            Action::Release if app.digest.as_ref() == Some(&self.made_from.digest) => Some(Besides::NotRunning),
            Action::Release => Some(Besides::MadeDifferently),
            _ => None,
        }
    }

    /// The files whose contents travel.
    pub fn uploads<'s>(&self, source: &'s Source, probe: &Probe) -> Vec<&'s FileEntry> {
        let none = Default::default();
        changes::to_send(&source.manifest, probe.app.as_ref().map_or(&none, |app| &app.have))
    }

    /// The `deploy` request that carries it out, if the app is still what the plan was made from.
    pub fn request(&self, source: &Source, note: &str, keep: u32, service_settings: &Value) -> Value {
        let expect = self.made_from.basis.as_ref().map_or_else(|| json!({"live": self.live}), |basis| json!(basis));
        json!({
            "verb": "deploy",
            "program": Program::version(),
            "app": self.app,
            "digest": source.digest,
            "note": note,
            "expect": expect,
            "force": self.forced,
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

fn describe_hook(fetch: &crate::config::Fetch) -> String {
    match fetch {
        crate::config::Fetch::Fetch(path) => format!("fetch {path}"),
        crate::config::Fetch::Script(words) => format!("script {}", words.join(" ")),
    }
}
