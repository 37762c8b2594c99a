//! The services an app can ask for: those that this binary carries, and the user's own folders.
//!
//! The former are put on a node with the node program. The latter go with the deploy of an app that asks for them, so that people
//! with other folders do not take each other's off the node.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::program::Program;
use crate::error::{Failure, Kind};

/// What a folder of a service may hold in all. They are scripts: what is larger belongs into a package.
const MAX_BYTES: usize = 1 << 20;

type Files = BTreeMap<String, Vec<u8>>;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Services {
    /// Where the user's own are.
    dir: PathBuf,
    own: BTreeMap<String, Files>,
}

impl Services {
    /// Those of this binary, and the folders in `dir`, which need not be there.
    pub fn load(dir: &Path) -> Result<Self, Failure> {
        let mut own = BTreeMap::new();
        if dir.is_dir() {
            for entry in fs::read_dir(dir).map_err(|error| unreadable(dir, &error))?.flatten() {
                let path = entry.path();
                if path.is_dir() && !entry.file_name().to_string_lossy().starts_with('.') {
                    let name = checked_name(&path)?;
                    own.insert(name, read_folder(&path)?);
                }
            }
        }
        Ok(Services { dir: dir.to_owned(), own })
    }

    /// Their names, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names = Program::services();
        names.extend(self.own.keys().cloned());
        names.sort();
        names
    }

    /// Whether its folder has this file.
    pub fn has(&self, name: &str, file: &str) -> bool {
        self.own.get(name).map_or_else(|| Program::service_has(name, file), |files| files.contains_key(file))
    }

    /// Whether it is the user's own.
    pub fn is_own(&self, name: &str) -> bool {
        self.own.contains_key(name)
    }

    /// The folder of a service that is the user's own.
    pub fn own_folder(&self, name: &str) -> Option<PathBuf> {
        self.is_own(name).then(|| self.dir.join(name))
    }

    /// A service's `service.ini`.
    pub fn description(&self, name: &str) -> Option<&str> {
        let own = self.own.get(name).and_then(|files| std::str::from_utf8(files.get(DESCRIPTION)?).ok());
        own.or_else(|| Program::service_description(name))
    }

    /// These services and those they require, each once.
    pub fn with_required(&self, asked: &[String]) -> Vec<String> {
        let mut services = asked.to_vec();
        let mut seen = 0;
        while let Some(service) = services.get(seen) {
            let required = self.section(service, "service", |properties| {
                properties.get("requires").map(str::to_owned).into_iter().collect()
            });
            for name in required.iter().flat_map(|names| names.split(';').next().unwrap_or_default().split([',', ' ']))
            {
                if !name.is_empty() && !services.iter().any(|known| known == name) {
                    services.push(name.to_owned());
                }
            }
            seen += 1;
        }
        services
    }

    /// The names of the variables that a service gives.
    pub fn variables(&self, name: &str) -> Vec<String> {
        self.section(name, "variables", |properties| properties.iter().map(|(name, _)| name.to_owned()).collect())
    }

    /// The apt packages that a service brings for apps of a platform.
    pub fn packages(&self, name: &str, platform: &str) -> Vec<String> {
        self.section(name, "service", |properties| {
            let listed = properties.get(format!("packages.{platform}")).unwrap_or_default();
            listed.split_whitespace().map(str::to_owned).collect()
        })
    }

    /// The folders among these services that the node does not have from the binary, as they travel: files by name, in base64.
    pub fn own_folders(&self, services: &[String]) -> Map<String, Value> {
        let own = services.iter().filter_map(|name| Some((name, self.own.get(name)?)));
        own.map(|(name, files)| {
            let files = files.iter().map(|(name, content)| (name.clone(), Value::from(STANDARD.encode(content))));
            (name.clone(), Value::Object(files.collect()))
        })
        .collect()
    }

    fn section(&self, service: &str, section: &str, read: impl Fn(&ini::Properties) -> Vec<String>) -> Vec<String> {
        let description = self.description(service).and_then(|text| ini::Ini::load_from_str(text).ok());
        description.and_then(|ini| ini.section(Some(section)).map(read)).unwrap_or_default()
    }
}

const DESCRIPTION: &str = "service.ini";
/// What has a dump must be loaded somewhere, counted there, and taken away.
const BELONG_TOGETHER: [&str; 4] = ["dump", "load", "count", "drop"];

fn checked_name(folder: &Path) -> Result<String, Failure> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let fail = |reason: &str| Err(Failure::new(Kind::Usage, format!("{}: {reason}", folder.display())));
    let well_formed = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c));
    if !well_formed {
        return fail("the name of a service has lower-case letters, digits, '-' and '_', and starts with a letter");
    }
    if Program::services().contains(&name) {
        return fail("cloudtool has a service of this name: choose another one");
    }
    Ok(name)
}

/// The files of a folder. Python's own directory of bytecode and hidden files stay here.
fn read_folder(folder: &Path) -> Result<Files, Failure> {
    let mut files = Files::new();
    for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "__pycache__" {
            continue;
        }
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) || !entry.path().is_file() {
            return Err(Failure::new(
                Kind::Usage,
                format!("{}: the folder of a service holds plain files only", entry.path().display()),
            ));
        }
        let content = fs::read(entry.path()).map_err(|error| unreadable(&entry.path(), &error))?;
        files.insert(name, content);
    }
    let bytes: usize = files.values().map(Vec::len).sum();
    if bytes > MAX_BYTES {
        let message = format!("{}: the folder of a service has at most {MAX_BYTES} bytes", folder.display());
        return Err(Failure::new(Kind::Usage, message));
    }
    if let Some(missing) = BELONG_TOGETHER.iter().find(|script| !files.contains_key(**script))
        && files.contains_key(BELONG_TOGETHER[0])
    {
        let message = format!("{}: a service that has dump needs {missing} too", folder.display());
        return Err(Failure::new(Kind::Usage, message));
    }
    match files.get(DESCRIPTION).map(|text| ini::Ini::load_from_str(&String::from_utf8_lossy(text))) {
        Some(Ok(_)) => Ok(files),
        Some(Err(error)) => Err(Failure::new(
            Kind::Usage,
            format!("{}:{}: this is not an INI file", folder.join(DESCRIPTION).display(), error.line),
        )),
        None => Err(Failure::new(Kind::Usage, format!("{} is missing", folder.join(DESCRIPTION).display()))
            .hint("a service is described in the book: Writing a service")),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Usage, format!("{} cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        dir
    }

    #[test]
    fn own_folders_stand_beside_those_of_the_binary() {
        let description =
            "[service]\nrequires = postgis ; and what it requires\n[variables]\nCONFIG_QUEUE = A directory.\n";
        let dir = folder(&[
            ("queue/service.ini", description),
            ("queue/provision", "#!/bin/sh\n"),
            ("queue/__pycache__/x.pyc", ""),
            (".git/config", ""),
        ]);
        let services = Services::load(dir.path()).unwrap();
        assert!(services.names().contains(&"queue".to_owned()) && services.names().contains(&"files".to_owned()));
        let all = services.with_required(&["queue".to_owned(), "files".to_owned()]);
        assert_eq!(all, ["queue", "files", "postgis", "postgresql"]);
        assert_eq!(services.variables("queue"), ["CONFIG_QUEUE"]);
        let own = Value::Object(services.own_folders(&all));
        let encoded = STANDARD.encode(description);
        assert_eq!(own, serde_json::json!({"queue": {"service.ini": encoded, "provision": "IyEvYmluL3NoCg=="}}));
        assert!(services.own_folders(&["files".to_owned()]).is_empty());
    }

    #[test]
    fn what_is_no_service_is_refused() {
        let refused = |files: &[(&str, &str)]| {
            let dir = folder(files);
            let failure = Services::load(dir.path()).unwrap_err();
            failure.message.replace(&dir.path().display().to_string(), "DIR")
        };
        insta::assert_snapshot!(refused(&[("files/service.ini", "")]), @"DIR/files: cloudtool has a service of this name: choose another one");
        insta::assert_snapshot!(refused(&[("Queue/service.ini", "")]), @"DIR/Queue: the name of a service has lower-case letters, digits, '-' and '_', and starts with a letter");
        insta::assert_snapshot!(refused(&[("queue/provision", "")]), @"DIR/queue/service.ini is missing");
        insta::assert_snapshot!(refused(&[("queue/service.ini", ""), ("queue/lib/x", "")]), @"DIR/queue/lib: the folder of a service holds plain files only");
        insta::assert_snapshot!(refused(&[("queue/service.ini", ""), ("queue/dump", ""), ("queue/load", "")]), @"DIR/queue: a service that has dump needs count too");
        insta::assert_snapshot!(refused(&[("queue/service.ini", "[service")]), @"DIR/queue/service.ini:1: this is not an INI file");
    }
}
