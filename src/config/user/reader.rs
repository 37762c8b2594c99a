//! The sections of the user's configuration, key by key.

use std::collections::BTreeMap;

use crate::config::backups::{self, BackupsConfig};
use crate::config::error::{Problem, nearest};
use crate::config::ini_file::{Entry, IniFile, Section};
use crate::config::values::{self, quoted};
use crate::names::Secret;

use super::{Defaults, ProviderConfig, UserConfig};

/// The keys every driver knows.
const COMMON_KEYS: [&str; 9] =
    ["provider", "username", "secret", "region", "image", "size", "location", "root_authorized_keys", "endpoint"];
/// Keys of single drivers.
const REST_KEYS: [&str; 16] = [
    "access_key",
    "application_credential",
    "credentials_file",
    "domain",
    "host",
    "interface",
    "network",
    "path",
    "port",
    "profile",
    "project",
    "project_id",
    "secure",
    "tenant",
    "user",
    "zone",
];
pub(super) const SECRET_KEYS: [&str; 3] = ["password", "session_token", "token"];
/// Keys of toppcloud's file, and today's.
const OLD_KEYS: [(&str, &str); 4] =
    [("image_id", "image"), ("image_name", "image"), ("remote_username", "user"), ("size_id", "size")];
const DEFAULT_KEYS: [&str; 4] = ["backups", "keep", "node", "provider"];

/// A file whose sections are read; what is wrong with them adds up.
pub(super) struct Reader<'a> {
    pub(super) file: &'a IniFile,
    pub(super) problems: Vec<Problem>,
}

impl Reader<'_> {
    pub(super) fn provider(&mut self, section: &Section, name: &str) -> ProviderConfig {
        let mut provider = ProviderConfig { name: name.to_owned(), ..ProviderConfig::default() };
        for entry in &section.entries {
            let text = entry.text();
            match entry.key.as_str() {
                "provider" => provider.provider = text.to_lowercase(),
                "username" => provider.username = Some(text),
                "secret" => provider.secret = Some(Secret::new(text)),
                "region" => provider.region = Some(text),
                "image" => provider.image = Some(text),
                "size" => provider.size = Some(text),
                "location" => provider.location = Some(text),
                "root_authorized_keys" => provider.root_authorized_keys = Some(text),
                "endpoint" => provider.endpoint = Some(text),
                key if SECRET_KEYS.contains(&key) => {
                    provider.secrets.insert(key.to_owned(), Secret::new(text));
                }
                key if REST_KEYS.contains(&key) => {
                    provider.rest.insert(key.to_owned(), text);
                }
                _ => self.unknown_key(section, entry, &[&COMMON_KEYS[..], &REST_KEYS, &SECRET_KEYS].concat()),
            }
        }
        if provider.provider.is_empty() {
            let message = "the key is missing: it names the cloud, e.g. provider = hetzner";
            self.problems.push(self.file.problem(Some(section.line), format!("{}.provider", section.name), message));
        }
        provider
    }

    pub(super) fn backups(&mut self, section: &Section, name: &str) -> BackupsConfig {
        let mut destination = BackupsConfig { name: name.to_owned(), ..BackupsConfig::default() };
        for entry in &section.entries {
            match destination.set(&entry.key, entry.text()) {
                Ok(()) => {}
                Err(Some(message)) => drop(self.checked::<()>(section, entry, Err(message))),
                Err(None) => self.unknown_key(section, entry, &backups::KEYS),
            }
        }
        if destination.url.is_empty() {
            let message = "the key is missing: it says where backups go, e.g. url = s3://my-backups";
            self.problems.push(self.file.problem(Some(section.line), format!("{}.url", section.name), message));
        }
        destination
    }

    /// `NAME` is a variable; `SERVICE` and `SERVICE.PART` are a service's.
    pub(super) fn devel(&mut self, section: &Section) -> BTreeMap<String, Secret> {
        let mut values = BTreeMap::new();
        for entry in &section.entries {
            let value = entry.text();
            let name = match entry.key.split_once('.') {
                Some((service, part)) if !service.is_empty() && !part.is_empty() => Ok(()),
                _ if entry.key.starts_with(|c: char| c.is_ascii_lowercase()) => Ok(()),
                _ => values::variable(&entry.key),
            };
            if self.checked(section, entry, name.and_then(|()| values::variable_value(&value))).is_some() {
                values.insert(entry.key.clone(), Secret::new(value));
            }
        }
        values
    }

    pub(super) fn defaults(&mut self, section: &Section) -> Defaults {
        let mut defaults = Defaults::default();
        for entry in &section.entries {
            let text = entry.text();
            match entry.key.as_str() {
                "node" => {
                    let node = text.parse().map_err(|error: crate::names::BadName| error.to_string());
                    defaults.node = self.checked(section, entry, node);
                }
                "provider" => defaults.provider = Some(text),
                "backups" => defaults.backups = Some(text),
                "keep" => defaults.keep = self.checked(section, entry, values::number(&text, 2..=100)),
                _ => self.unknown_key(section, entry, &DEFAULT_KEYS),
            }
        }
        defaults
    }

    pub(super) fn check_default_provider(&mut self, config: &UserConfig) {
        let Some(name) = &config.defaults.provider else { return };
        if config.providers.contains_key(name) {
            return;
        }
        let line = self.file.section("defaults").and_then(|section| section.entry("provider")).map(|entry| entry.line);
        let mut problem =
            self.file.problem(line, "defaults.provider", format!("there is no section [provider:{name}]"));
        problem.suggestion = nearest(name, config.providers.keys().map(String::as_str));
        self.problems.push(problem);
    }

    pub(super) fn is_name(&mut self, section: &Section, name: &str) -> bool {
        let valid = !name.is_empty()
            && name.len() <= 60
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !valid {
            let message = format!("{} is not a name: it has letters, digits, '-', '_' and '.'", quoted(name));
            self.problems.push(self.file.problem(Some(section.line), format!("[{}]", section.name), message));
        }
        valid
    }

    pub(super) fn unknown_section(&mut self, section: &Section) {
        let message = "unknown section: there are [defaults], [provider:NAME], [service:NAME], [backups:NAME], [devel] and [devel:APP]";
        let mut problem = self.file.problem(Some(section.line), format!("[{}]", section.name), message);
        problem.suggestion = match section.name.split_once(':') {
            Some((kind, name)) => {
                nearest(kind, ["backups", "devel", "provider", "service"]).map(|kind| format!("[{kind}:{name}]"))
            }
            None => nearest(&section.name, ["defaults", "devel"]).map(|name| format!("[{name}]")),
        };
        self.problems.push(problem);
    }

    fn unknown_key(&mut self, section: &Section, entry: &Entry, known: &[&str]) {
        let key = format!("{}.{}", section.name, entry.key);
        let mut problem = self.file.problem(Some(entry.line), key, "unknown key");
        let today = OLD_KEYS.iter().find(|(old, _)| *old == entry.key).map(|(_, today)| (*today).to_owned());
        problem.suggestion = today.or_else(|| nearest(&entry.key, known.iter().copied()));
        self.problems.push(problem);
    }

    fn checked<T>(&mut self, section: &Section, entry: &Entry, result: Result<T, String>) -> Option<T> {
        let key = format!("{}.{}", section.name, entry.key);
        result.map_err(|message| self.problems.push(self.file.problem(Some(entry.line), key, message))).ok()
    }
}
