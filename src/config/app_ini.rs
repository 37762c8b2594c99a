//! `app.ini`: what an app is and what it needs. [`load`] reads it from the app's directory.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::error::{Error, Problem, SHOWN, Warning, nearest};
use super::ini_file::{self, Dialect, Section};
use super::paths::{self, Is};
use super::settings::{Fetch, Platform, ServiceUse, Settings, Snapshot};
use super::values::{self, quoted};
use crate::names::{AppName, BadName, Location, NodeName};

mod backup;
mod config_keys;
mod crons;
mod processes;
mod reader;
mod tls;
mod what_runs;

use reader::{Reader, full_key};

/// A valid `app.ini`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppConfig {
    pub name: AppName,
    /// Where the app is deployed to when `update` names no location.
    pub locations: Vec<Location>,
    pub settings: Settings,
    /// Of several nodes that have the app, the one that its cron jobs run on.
    pub cron_node: Option<NodeName>,
    pub warnings: Vec<Warning>,
    /// The files and directories that app.ini names, each as the problem it is when it does not travel.
    named: Vec<(String, Problem)>,
}

impl AppConfig {
    /// Checks that what app.ini names is not left out by an ignore file. `travels` says whether a path of the app does.
    pub fn check_travels(&self, travels: impl Fn(&str) -> bool) -> Result<(), Error> {
        let missing: Vec<Problem> =
            self.named.iter().filter(|(path, _)| !travels(path)).map(|(_, problem)| problem.clone()).collect();
        if missing.is_empty() { Ok(()) } else { Err(Error::Problems(missing)) }
    }
}

const KEYS: [&str; 30] = [
    "acme_server",
    "app_name",
    "config.checker",
    "config.default",
    "config.required",
    "config.template",
    "cron_node",
    "default_host",
    "default_location",
    "drain_timeout",
    "health_check",
    "health_timeout",
    "hsts",
    "idle_ignore",
    "idle_stop",
    "memory",
    "packages",
    "php_root",
    "platform",
    "processes",
    "request_timeout",
    "requirements",
    "runner",
    "snapshot",
    "threads",
    "tls",
    "tls_key",
    "update_fetch",
    "version",
    "service.NAME",
];

const SECTIONS: &str = ": there are [production], [env], [backup], [process:NAME] and [cron:NAME]";

/// Old keys that do nothing, and what to use.
const WITHOUT_EFFECT: [(&str, &str); 2] = [
    (
        "after_install_script",
        "has no effect: list packages in `packages`, run the app's own steps with `update_fetch = script:...`",
    ),
    (
        "package_install_script",
        "has no effect: list packages in `packages`, or write a service folder that adds the repository",
    ),
];

/// The system hands a program no more than this.
const ENV_TOTAL_MAX: usize = 512 << 10;

/// The services that an app can ask for.
pub struct Known<'a> {
    pub services: &'a [&'a str],
    /// Which of these cannot be where they are said to be.
    pub misplaced: &'a dyn Fn(&[ServiceUse]) -> Vec<Misplaced>,
}

/// A service that cannot be where it is said to be.
#[derive(Debug, PartialEq, Eq)]
pub struct Misplaced {
    pub service: String,
    pub why: String,
}

impl<'a, const N: usize> From<&'a [&'a str; N]> for Known<'a> {
    /// Their names, where nothing more is known.
    fn from(services: &'a [&'a str; N]) -> Self {
        fn none_misplaced(_: &[ServiceUse]) -> Vec<Misplaced> {
            Vec::new()
        }
        Known { services, misplaced: &none_misplaced }
    }
}

/// Reads and checks `app.ini` of the app in `dir`.
///
/// Errors: [`Error::NoAppIni`], [`Error::Read`], [`Error::TooBig`], or [`Error::Problems`] with everything that is wrong.
pub fn load<'a>(dir: &Path, known: impl Into<Known<'a>>) -> Result<AppConfig, Error> {
    let path = dir.join("app.ini");
    if !path.exists() {
        return Err(Error::NoAppIni(dir.to_owned()));
    }
    parse(&path, dir, &ini_file::read(&path)?, known)
}

/// Checks the text of an `app.ini`; `path` is for the messages, the files it names are looked for in `dir`.
pub fn parse<'a>(path: &Path, dir: &Path, text: &str, known: impl Into<Known<'a>>) -> Result<AppConfig, Error> {
    let dialect =
        Dialect { literal: |section| section == "env", bare: |key| key.starts_with("service.") && !key.contains(' ') };
    let (file, mut problems) = ini_file::parse(path, text, &dialect);
    let file = file.together(&mut problems);
    let empty = Section { name: "production".to_owned(), line: 1, entries: Vec::new() };
    let production = file.section("production").unwrap_or(&empty);
    let mut reader =
        Reader { file: &file, section: production, dir, problems, warnings: Vec::new(), named: Vec::new() };
    if file.section("production").is_none() {
        reader.problems.push(file.problem(Some(empty.line), "[production]", "the section is missing"));
    }
    reader.check_names();
    let name = reader.app_name();
    let locations = reader.locations();
    let settings = reader.settings(&known.into());
    let cron_node = reader.cron_node();
    let Reader { mut problems, mut warnings, named, .. } = reader;
    problems.sort_by_key(|problem| problem.line);
    warnings.sort_by_key(|warning| warning.line);
    match name {
        Some(name) if problems.is_empty() => Ok(AppConfig { name, locations, settings, cron_node, warnings, named }),
        _ => Err(Error::Problems(problems)),
    }
}

impl<'a> Reader<'a> {
    /// Sections and keys that we do not know, or know to do nothing.
    fn check_names(&mut self) {
        for section in &self.file.sections {
            let name = section.name.as_str();
            if !["production", "env", "backup", ""].contains(&name)
                && ![processes::KIND, crons::KIND].iter().any(|kind| name.starts_with(kind))
            {
                let suggestion = nearest(name, ["production", "env", "backup", "process:NAME", "cron:NAME"]);
                let others = if suggestion.is_none() { SECTIONS } else { "" };
                let problem = self.file.problem(
                    Some(section.line),
                    format!("[{}]", section.name),
                    format!("unknown section{others}"),
                );
                self.problems.push(Problem { suggestion, ..problem });
            }
        }
        for entry in &self.section.entries {
            let key = entry.key.as_str();
            if let Some((_, advice)) = WITHOUT_EFFECT.iter().find(|(old, _)| *old == key) {
                self.warn(entry.line, key, *advice);
            } else if !KEYS.contains(&key) && !key.starts_with("service.") {
                let mut problem = self.file.problem(Some(entry.line), full_key(key), "unknown key");
                let known = KEYS.iter().copied().filter(|known| !known.ends_with("NAME"));
                // Nobody reads more than that, and looking for names is the slow part of a file of a megabyte.
                problem.suggestion = if self.problems.len() < SHOWN { nearest(key, known) } else { None };
                self.problems.push(problem);
            }
        }
    }

    fn app_name(&mut self) -> Option<AppName> {
        if self.section.entry("app_name").is_none() {
            self.missing("app_name", "every app has a name");
        }
        let (line, text) = self.one("app_name")?;
        let lower = text.to_lowercase();
        if lower != text {
            self.warn(
                line,
                "app_name",
                format!("{} has upper-case letters, the app is called {}", quoted(&text), quoted(&lower)),
            );
        }
        self.checked(line, "app_name", lower.parse().map_err(|error: BadName| error.to_string()))
    }

    fn locations(&mut self) -> Vec<Location> {
        let (mut locations, mut seen) = (Vec::new(), HashSet::new());
        for key in ["default_host", "default_location"] {
            for (line, text) in self.words(key) {
                let parsed = text.parse::<Location>().map_err(|error| error.to_string());
                let location = self.checked(line, key, parsed);
                if let Some(location) = location.filter(|location| seen.insert(location.clone())) {
                    locations.push(location);
                }
            }
        }
        locations
    }

    fn cron_node(&mut self) -> Option<NodeName> {
        self.value("cron_node", None, |text| text.parse().map(Some).map_err(|error: BadName| error.to_string()))
    }

    fn settings(&mut self, known: &Known<'_>) -> Settings {
        let (platform, runner, php_root) = self.what_runs();
        let requirements = self.requirements(platform);
        Settings {
            platform,
            runner,
            php_root,
            packages: self.packages(),
            requirements,
            services: self.services(known),
            update_fetch: self.update_fetch(platform),
            snapshot: self.value("snapshot", Snapshot::Auto, values::snapshot),
            health_check: self.value("health_check", "/".to_owned(), values::url_path),
            health_timeout: self.seconds("health_timeout", 30, 1..=600),
            processes: self.value("processes", 2, |text| values::number(text, 1..=64)),
            threads: self.value("threads", 8, |text| values::number(text, 1..=64)),
            memory: self.value("memory", None, |text| values::memory(text).map(Some)),
            request_timeout: self.seconds("request_timeout", 60, 1..=24 * 3600),
            drain_timeout: self.seconds("drain_timeout", 30, 1..=3600),
            env: self.env(),
            tls: self.tls(),
            idle_stop: self.value("idle_stop", None, |text| values::seconds(text, 1..=24 * 3600).map(Some)),
            idle_ignore: self.idle_ignore(),
            config: self.config(platform),
            backup: self.backup(),
            workers: self.processes(),
            crons: self.crons(),
        }
    }

    fn requirements(&mut self, platform: Platform) -> Option<String> {
        let (line, text) = self.one("requirements")?;
        let path = self.checked(line, "requirements", paths::app_path(self.dir, &text, Is::File))?;
        if platform != Platform::Python {
            self.problem(
                line,
                "requirements",
                format!("only Python apps have requirements, and this one is {}", platform.name()),
            );
        }
        self.name_path(line, "requirements", &path);
        Some(path)
    }

    fn packages(&mut self) -> Vec<String> {
        let (mut packages, mut seen) = (Vec::new(), HashSet::new());
        for (line, text) in self.words("packages") {
            let Some(package) = self.checked(line, "packages", values::package(&text)) else { continue };
            if let Some(rest) = package.strip_prefix("python-") {
                let message = format!("{package} was for Python 2 and may be gone: python3-{rest} is today's name");
                self.warn(line, "packages", message);
            }
            if seen.insert(package.clone()) {
                packages.push(package);
            }
        }
        packages
    }

    fn services(&mut self, known: &Known<'_>) -> Vec<ServiceUse> {
        let names = known.services;
        let mut services = Vec::new();
        for entry in &self.section.entries {
            let Some(name) = entry.key.strip_prefix("service.").filter(|name| *name != "php") else { continue };
            if !names.contains(&name) {
                let message = format!("there is no service {}; there are: {}", quoted(name), names.join(", "));
                let mut problem = self.file.problem(Some(entry.line), full_key(&entry.key), message);
                problem.suggestion = nearest(name, names.iter().copied());
                self.problems.push(problem);
            } else if entry.text().len() > values::VARIABLE_MAX {
                self.problem(entry.line, &entry.key, "the value has more than 64 KiB");
            } else {
                services.push(ServiceUse { name: name.to_owned(), value: entry.text() });
            }
        }
        for Misplaced { service, why } in (known.misplaced)(&services) {
            let key = format!("service.{service}");
            let line = self.section.entry(&key).map_or(self.section.line, |entry| entry.line);
            self.problem(line, &key, why);
        }
        services
    }

    fn idle_ignore(&mut self) -> Vec<String> {
        let words = self.words("idle_ignore");
        if let (Some((line, _)), None) = (words.first(), self.section.entry("idle_stop")) {
            self.warn(*line, "idle_ignore", "without `idle_stop` the app never sleeps, and this has no effect");
        }
        words
            .into_iter()
            .filter_map(|(line, text)| self.checked(line, "idle_ignore", values::path_prefix(&text)))
            .collect()
    }

    fn update_fetch(&mut self, platform: Platform) -> Vec<Fetch> {
        let mut fetches = Vec::new();
        for (line, text) in self.lines("update_fetch") {
            let parsed = match text.strip_prefix("script:") {
                Some(command) => self.script(line, command),
                None => values::url_path(&text)
                    .map(Fetch::Fetch)
                    .map_err(|error| format!("{error}; a program is written as script:PROGRAM ARGUMENTS")),
            };
            if platform == Platform::Static && matches!(parsed, Ok(Fetch::Fetch(_))) {
                self.warn(line, "update_fetch", "the app is static: fetching a file has no effect");
            }
            fetches.extend(self.checked(line, "update_fetch", parsed));
        }
        fetches
    }

    /// A command line, split into words as a shell would; there is no shell.
    fn script(&mut self, line: usize, command: &str) -> Result<Fetch, String> {
        let words = shlex::split(command).ok_or("a quote or a backslash at the end is not closed")?;
        let Some((program, arguments)) = words.split_first() else {
            return Err("after script: stands a program of the app, with its arguments".to_owned());
        };
        let program = paths::app_path(self.dir, program, Is::File)?;
        self.name_path(line, "update_fetch", &program);
        Ok(Fetch::Script(std::iter::once(program).chain(arguments.iter().cloned()).collect()))
    }

    fn env(&mut self) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        let mut total = 0;
        for entry in self.file.section("env").map_or(&[][..], |section| &section.entries) {
            let key = format!("env.{}", entry.key);
            let value = entry.text();
            total += entry.key.len() + value.len() + 2;
            let refused = match values::variable(&entry.key).and_then(|()| values::variable_value(&value)) {
                Err(message) => Some(message),
                Ok(()) if total > ENV_TOTAL_MAX => {
                    Some("all values together have more than 512 KiB: put them into a file of the app".to_owned())
                }
                Ok(()) => None,
            };
            if let Some(message) = refused {
                self.problems.push(self.file.problem(Some(entry.line), key, message));
            }
            env.insert(entry.key.clone(), value);
        }
        env
    }
}

#[cfg(test)]
mod hundred;
#[cfg(test)]
mod tests;
