//! What differs between the settings of two releases, by the names that app.ini has for it. Values are never told: they may be secrets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Settings;

/// What an app has and had not, and the other way round.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    pub added: Vec<String>,
    pub removed: Vec<String>,
}

impl Names {
    fn between<'a>(old: impl Iterator<Item = &'a String>, new: impl Iterator<Item = &'a String>) -> Self {
        let (old, new): (Vec<&String>, Vec<&String>) = (old.collect(), new.collect());
        let lacking = |some: &[&String], others: &[&String]| {
            some.iter().filter(|name| !others.contains(name)).map(|name| (*name).clone()).collect()
        };
        Names { added: lacking(&new, &old), removed: lacking(&old, &new) }
    }

    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// Everything that is not files. `old`: none for the first release, where all of it is new, and settings are not told.
pub fn packages(old: Option<&Settings>, new: &Settings) -> Names {
    Names::between(old.iter().flat_map(|old| &old.packages), new.packages.iter())
}

pub fn services(old: Option<&Settings>, new: &Settings) -> Names {
    let names =
        |settings: &'_ Settings| settings.services.iter().map(|service| service.name.clone()).collect::<Vec<_>>();
    let (old, new) = (old.map(names).unwrap_or_default(), names(new));
    Names::between(old.iter(), new.iter())
}

/// The names of settings that differ: keys of app.ini, `env.NAME`, `process:NAME`, and `service.NAME` of a service that stays.
pub fn settings(old: &Settings, new: &Settings) -> Vec<String> {
    let services = services(Some(old), new);
    let came_or_went = |name: &str| {
        name.strip_prefix("service.")
            .is_some_and(|name| services.added.iter().chain(&services.removed).any(|other| other == name))
    };
    let (old, new) = (by_name(old), by_name(new));
    let mut names: Vec<String> = old.keys().chain(new.keys()).cloned().collect();
    names.sort();
    names.dedup();
    names.retain(|name| old.get(name) != new.get(name) && !came_or_went(name));
    names
}

/// Each setting by its name in app.ini; what is not said is not there.
fn by_name(settings: &Settings) -> BTreeMap<String, Value> {
    // Settings are plain data: they always serialise.
    let Ok(Value::Object(fields)) = serde_json::to_value(settings) else { return BTreeMap::new() };
    let mut named = BTreeMap::new();
    for (field, value) in fields {
        let group = match field.as_str() {
            "packages" => continue,
            "env" | "config" | "backup" => format!("{field}."),
            "workers" => "process:".to_owned(),
            "crons" => "cron:".to_owned(),
            "services" => {
                named.extend(
                    settings.services.iter().map(|it| (format!("service.{}", it.name), Value::from(it.value.clone()))),
                );
                continue;
            }
            _ => {
                named.insert(field, value);
                continue;
            }
        };
        if let Value::Object(members) = value {
            named.extend(members.into_iter().map(|(name, value)| (format!("{group}{name}"), value)));
        }
    }
    named.retain(|_, value| !value.is_null());
    named
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::app_ini;

    fn read(ini: &str) -> Settings {
        let dir = tempfile::tempdir().unwrap();
        for file in ["app.py", "defaults"] {
            std::fs::write(dir.path().join(file), "A=1\n").unwrap();
        }
        let text = format!("[production]\napp_name = x\nrunner = app.py\n{ini}");
        app_ini::parse(Path::new("app.ini"), dir.path(), &text, &["files", "postgis", "redis"]).unwrap().settings
    }

    #[test]
    fn every_setting_is_told_by_its_name_and_never_by_its_value() {
        let old = read(
            "packages = git gcc\nservice.postgis = node:a\nservice.files =\nthreads = 4\nidle_stop = 5m\ntls = auto\nconfig.default = defaults\n\
             [env]\nGONE = hunter2\nSAME = 1\nOTHER = hunter2\n[backup]\nevery = 1h\nto = here\n[process:old]\ncommand = a\n[process:both]\ncommand = a\n",
        );
        let new = read(
            "packages = gcc git make\nservice.postgis = node:b\nservice.redis = x\nthreads = 5\nconfig.required = A\n\
             [env]\nSAME = 1\nOTHER = hunter3\nNEW = hunter2\n[process:both]\ncommand = b\n[cron:new]\nevery = 1h\nfetch = /\n[backup]\nat = 01:00\nto = here\n",
        );
        assert_eq!(
            settings(&old, &new).join(" "),
            "backup.at backup.every config.default config.required cron:new env.GONE env.NEW env.OTHER idle_stop process:both process:old service.postgis threads tls"
        );
        let names = |added: &[&str], removed: &[&str]| Names {
            added: added.iter().map(ToString::to_string).collect(),
            removed: removed.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(packages(Some(&old), &new), names(&["make"], &[]));
        assert_eq!(services(Some(&old), &new), names(&["redis"], &["files"]));
        assert_eq!(services(None, &new), names(&["postgis", "redis"], &[]));
        assert!(settings(&new, &new).is_empty() && packages(Some(&new), &new).is_empty());
    }
}
