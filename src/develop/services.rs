//! The services of an app on a developer's machine: servers of the app's own that run as long as the app does, or the developer's
//! (`[devel]` of the user's configuration). How one runs is in the script `develop` of its folder (docs/architecture.md).
//!
//! One program runs the services of an app; another one that needs them meanwhile is told the variables.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::Workshop;
use super::place::write_private;
use crate::config::{AppConfig, Platform, ServiceUse, UserConfig, referred, user};
use crate::error::{Failure, Kind};
use crate::node::Services;

const SCRIPT: &str = "develop";
/// How long a server may take to write down what it has.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(10);

/// What runs for an app, until it is dropped.
pub struct Running {
    pub variables: BTreeMap<String, String>,
    wanted: Wanted,
    /// In the order in which they were started.
    servers: Vec<Server>,
    /// Others run them.
    _lock: Option<File>,
}

/// What makes services what they are: the same wish needs no new ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Wanted {
    services: Vec<(String, String)>,
    given: BTreeMap<String, String>,
    platform: Platform,
}

/// What the last program that ran them has written down.
#[derive(Serialize, Deserialize)]
struct Noted {
    wanted: Wanted,
    variables: BTreeMap<String, String>,
}

/// A script that stays.
struct Server {
    process: Child,
    held: Option<ChildStdin>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // The script sees the end of its input.
        self.held = None;
        let deadline = Instant::now() + PATIENCE;
        while !matches!(self.process.try_wait(), Ok(Some(_)) | Err(_)) {
            if Instant::now() > deadline {
                let _ = self.process.kill();
            }
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // What was started last needs the others most.
        while self.servers.pop().is_some() {}
    }
}

/// The variables that `[devel]` and `[devel:APP]` set: `NAME = value`, `SERVICE.PART = value` for the variable of a service whose name
/// ends with `_PART`, `SERVICE = value` for a service that has one.
pub fn given(config: &AppConfig, user: &UserConfig, services: &Services) -> Result<BTreeMap<String, String>, Failure> {
    let asked: Vec<String> = config.settings.services.iter().map(|service| service.name.clone()).collect();
    let sections = ["".to_owned(), config.name.to_string()];
    let mut given = BTreeMap::new();
    for (section, key, value) in
        sections.iter().flat_map(|name| user.devel.get(name).into_iter().flatten().map(move |(k, v)| (name, k, v)))
    {
        let section = if section.is_empty() { "[devel]".to_owned() } else { format!("[devel:{section}]") };
        let from = format!("{key} in {section}");
        let said = |message| Failure::new(Kind::Usage, format!("{from}: {message}"));
        // What is said for all apps need not fit each.
        let Some(name) = variable(key, &asked, services).map_err(said)? else { continue };
        let named = value.expose().replace("APP_NAME", config.name.as_str());
        let found = referred::resolve(&named, from, config.name.as_str(), &|_| None)
            .map_err(|message| Failure::new(Kind::Usage, message))?;
        given.insert(name, found.value.expose().to_owned());
    }
    Ok(given)
}

/// The variable that a key of `[devel]` sets, for an app that asks for these services.
fn variable(key: &str, asked: &[String], services: &Services) -> Result<Option<String>, String> {
    let (service, part) = key.split_once('.').map_or((key, None), |(service, part)| (service, Some(part)));
    if !services.names().iter().any(|name| name == service) {
        return match part {
            None => Ok(Some(key.to_owned())),
            Some(_) => Err(format!("there is no service {service}")),
        };
    }
    if !asked.iter().any(|name| services.with_required(std::slice::from_ref(name)).iter().any(|all| all == service)) {
        return Ok(None);
    }
    let names: Vec<String> =
        services.with_required(&[service.to_owned()]).iter().flat_map(|service| services.variables(service)).collect();
    let ending = part.map(|part| format!("_{}", part.to_uppercase()));
    let fits = |name: &&String| ending.as_ref().is_none_or(|ending| name.ends_with(ending));
    match names.iter().find(fits) {
        Some(name) => Ok(Some(name.clone())),
        None => Err(format!("no variable of the service ends so; there are {}", names.join(", "))),
    }
}

/// The user's configuration, as a person calls it.
pub fn config_file(user: &UserConfig) -> String {
    let path = user.path.clone().or_else(user::default_path).unwrap_or_else(|| PathBuf::from("cloudtool.ini"));
    path.display().to_string()
}

/// Runs the services of the app, or finds that they run.
pub fn run(
    workshop: &Workshop,
    config: &AppConfig,
    services: &Services,
    given: &BTreeMap<String, String>,
    running: Option<Running>,
) -> Result<Running, Failure> {
    let wanted = wanted(config, services, given);
    if let Some(running) = running {
        if running.wanted == wanted {
            return Ok(running);
        }
        // The new ones may want the same ports and files.
        drop(running);
    }
    let lock = File::options().create(true).truncate(false).write(true).open(workshop.place.lock());
    let lock = lock.map_err(|error| {
        Failure::new(Kind::Failed, format!("{} cannot be written: {error}", workshop.place.lock().display()))
    })?;
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        return of_others(workshop, wanted);
    }
    // What the last one has noted does not hold while these start.
    let _ = std::fs::remove_file(workshop.place.variables());
    let mut running = Running { variables: BTreeMap::new(), wanted, servers: Vec::new(), _lock: Some(lock) };
    for (name, value) in running.wanted.services.clone() {
        let (variables, server) = start(workshop, config, services, &running, &name, &value)?;
        running.variables.extend(variables);
        running.servers.extend(server);
    }
    running.variables.extend(given.clone());
    let noted = Noted { wanted: running.wanted.clone(), variables: running.variables.clone() };
    let text = serde_json::to_string(&noted).unwrap_or_default();
    write_private(&workshop.place.variables(), &text)
        .map_err(|error| Failure::new(Kind::Failed, format!("the services' variables cannot be kept: {error}")))?;
    Ok(running)
}

/// The variables of services that run, or would: those of the last time, where that was asked for the same.
pub fn known(
    workshop: &Workshop,
    config: &AppConfig,
    services: &Services,
    given: &BTreeMap<String, String>,
) -> Option<BTreeMap<String, String>> {
    let noted = noted(workshop)?;
    (noted.wanted == wanted(config, services, given)).then_some(noted.variables)
}

fn noted(workshop: &Workshop) -> Option<Noted> {
    serde_json::from_str(&std::fs::read_to_string(workshop.place.variables()).ok()?).ok()
}

fn wanted(config: &AppConfig, services: &Services, given: &BTreeMap<String, String>) -> Wanted {
    let settings = &config.settings;
    let asked: Vec<String> = settings.services.iter().map(|service| service.name.clone()).collect();
    let value = |name: &String| {
        let said = settings.services.iter().find(|ServiceUse { name: other, .. }| other == name);
        said.map(|service| service.value.clone()).unwrap_or_default()
    };
    // A service comes after those it requires, as on a node.
    let mut all = services.with_required(&asked);
    all.reverse();
    let services = all.iter().map(|name| (name.clone(), value(name))).collect();
    Wanted { services, given: given.clone(), platform: settings.platform }
}

/// Another program runs them: it says what they are when it is ready.
fn of_others(workshop: &Workshop, wanted: Wanted) -> Result<Running, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(noted) = noted(workshop) {
            if noted.wanted != wanted {
                let message = "another cloudtool runs this app's services, and app.ini asks for others by now";
                return Err(Failure::new(Kind::Locked, message).hint("let it reload, or end it"));
            }
            return Ok(Running { variables: noted.variables, wanted, servers: Vec::new(), _lock: None });
        }
        if Instant::now() > deadline {
            return Err(Failure::new(Kind::Locked, "another cloudtool is starting this app's services")
                .hint("run the command again when that has ended"));
        }
        thread::sleep(LOOK);
    }
}

/// Runs the script of a service: what it prints, and itself if it stays.
fn start(
    workshop: &Workshop,
    config: &AppConfig,
    services: &Services,
    running: &Running,
    name: &str,
    value: &str,
) -> Result<(BTreeMap<String, String>, Option<Server>), Failure> {
    if !services.has(name, SCRIPT) {
        return without_script(config, services, running, name);
    }
    let folder = services.own_folder(name).unwrap_or_else(|| workshop.toolbox.service(name));
    let failed = |reason: String| Failure::new(Kind::Failed, format!("the service {name}: {reason}"));
    let names: Vec<&str> = running.wanted.services.iter().map(|(name, _)| name.as_str()).collect();
    let given: Vec<&str> = running.wanted.given.keys().map(String::as_str).collect();
    let mut command = Command::new(folder.join(SCRIPT));
    command.envs(&running.variables).envs(&running.wanted.given);
    command.env("CLOUDTOOL_APP", config.name.as_str()).env("CLOUDTOOL_PLATFORM", running.wanted.platform.name());
    command.env("CLOUDTOOL_SERVICE", name).env("CLOUDTOOL_SERVICE_VALUE", value);
    command.env("CLOUDTOOL_SERVICES", names.join(" ")).env("CLOUDTOOL_GIVEN", given.join(" "));
    command.env("CLOUDTOOL_SHARE_DATA", workshop.place.share(name)?).env("PYTHONPATH", workshop.toolbox.modules());
    command.env("PYTHONDONTWRITEBYTECODE", "1").current_dir(&workshop.place.dir).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().map_err(|error| failed(format!("its script develop cannot be run: {error}")))?;
    let (output, errors) = (process.stdout.take(), process.stderr.take());
    let mut server = Server { held: process.stdin.take(), process };
    let mut variables = BTreeMap::new();
    for line in output.into_iter().flat_map(|output| BufReader::new(output).lines()) {
        let line = line.map_err(|error| failed(format!("its script develop cannot be read: {error}")))?;
        let (name, value) =
            line.split_once('=').ok_or_else(|| failed(format!("its script develop printed {line:?}")))?;
        variables.insert(name.to_owned(), value.to_owned());
    }
    // It is ready, or about to end.
    let told = std::sync::Arc::clone(&workshop.told);
    let mut errors = errors.map(BufReader::new);
    if variables.is_empty() || matches!(server.process.try_wait(), Ok(Some(_))) {
        let status = server.process.wait().map_err(|error| failed(error.to_string()))?;
        let mut said = String::new();
        let _ = errors.as_mut().map(|errors| errors.read_to_string(&mut said));
        if !status.success() {
            let mut lines = said.lines().map(str::to_owned);
            let reason = lines.next().unwrap_or_else(|| super::child::describe(status));
            return Err(failed(reason).details(lines.collect()));
        }
        return Ok((variables, None));
    }
    thread::spawn(move || {
        for line in errors.into_iter().flat_map(BufRead::lines).map_while(Result::ok) {
            told.output(format!("{line}\n").as_bytes());
        }
    });
    Ok((variables, Some(server)))
}

/// A service that runs on no developer's machine: its variables must have been given.
fn without_script(
    config: &AppConfig,
    services: &Services,
    running: &Running,
    name: &str,
) -> Result<(BTreeMap<String, String>, Option<Server>), Failure> {
    let missing: Vec<String> =
        services.variables(name).into_iter().filter(|name| !running.wanted.given.contains_key(name)).collect();
    if missing.is_empty() {
        return Ok((BTreeMap::new(), None));
    }
    let message = format!("the service {name} is none that cloudtool runs on a developer's machine");
    let hint = format!(
        "name a server of your own in [devel:{}] of the configuration, as {} = ...",
        config.name,
        missing.join(" = ..., ")
    );
    Err(Failure::new(Kind::Usage, message).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_devel_are_variables() {
        let services = Services::default();
        let asked = ["postgis", "redis", "files"].map(str::to_owned);
        let named = |key: &str| variable(key, &asked, &services);
        for (key, name) in [
            ("postgis.dbname", "CONFIG_PG_DBNAME"),
            ("postgresql.password", "CONFIG_PG_PASSWORD"),
            ("postgresql.url", "DATABASE_URL"),
            ("redis.host", "CONFIG_REDIS_HOST"),
            ("files", "CONFIG_FILES"),
            ("API_KEY", "API_KEY"),
        ] {
            assert_eq!(named(key), Ok(Some(name.to_owned())), "{key}");
        }
        // It is said for all apps, and this one does not ask for the service.
        assert_eq!(named("mysql.host"), Ok(None));
        assert!(named("redis.hots").unwrap_err().contains("CONFIG_REDIS_HOST, CONFIG_REDIS_PORT"));
        assert_eq!(named("rediss.host"), Err("there is no service rediss".to_owned()));
    }
}
