//! The user's own configuration: clouds and their credentials, settings of services, defaults.
//!
//! ```ini
//! [defaults]
//! provider = hetzner
//! node = web1
//! keep = 5
//! backups = offsite
//!
//! [provider:hetzner]
//! provider = hetzner
//! secret = ...
//!
//! [service:couchdb]
//! url = https://admin:...@couch.example.com
//!
//! [backups:offsite]
//! url = s3://my-backups
//!
//! [devel:shop]
//! postgresql.host = localhost
//! API_KEY = command:pass show shop
//! ```

mod reader;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::backups::BackupsConfig;
use super::error::Error;
use super::ini_file::{self, Dialect};
use crate::names::{NodeName, Secret};
use reader::{Reader, SECRET_KEYS};

/// What the user configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserConfig {
    /// The file it comes from; none when there is no such file.
    pub path: Option<PathBuf>,
    pub defaults: Defaults,
    /// `[provider:NAME]` by name. There is always one called `local`, and one called `default`.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// `[service:NAME]` by name: node-wide settings of a service. Any of them may be a secret.
    pub services: BTreeMap<String, BTreeMap<String, Secret>>,
    /// `[backups:NAME]` by name.
    pub backups: BTreeMap<String, BackupsConfig>,
    /// `[devel:APP]` by app, and `[devel]` under the empty name: what apps see on this machine. Any of it may be a secret.
    pub devel: BTreeMap<String, BTreeMap<String, Secret>>,
}

/// `[defaults]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// The node of commands without `--node`.
    pub node: Option<NodeName>,
    /// The section `[provider:NAME]` of commands without `--provider`.
    pub provider: Option<String>,
    /// How many releases of an app stay on a node.
    pub keep: Option<u32>,
    /// Where backups go when nobody says where: the NAME of a `[backups:NAME]`, a URL or a directory.
    pub backups: Option<String>,
}

/// One `[provider:NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProviderConfig {
    /// NAME of the section.
    pub name: String,
    /// The driver: `local`, `hetzner`, ...
    pub provider: String,
    pub username: Option<String>,
    pub secret: Option<Secret>,
    pub region: Option<String>,
    /// A glob or an id.
    pub image: Option<String>,
    pub size: Option<String>,
    pub location: Option<String>,
    /// Public keys for root on new nodes, one a line, or the path of a file of them.
    pub root_authorized_keys: Option<String>,
    /// Another address of the API.
    pub endpoint: Option<String>,
    /// Further keys of single drivers, e.g. `project`, `port`.
    pub rest: BTreeMap<String, String>,
    /// Further keys of single drivers that must not be shown, e.g. `session_token`.
    pub secrets: BTreeMap<String, Secret>,
}

/// Values are taken as they are written: a secret may hold anything.
pub(super) const DIALECT: Dialect = Dialect { literal: |_| true, bare: |_| false };

impl Default for UserConfig {
    /// What holds without a file: the provider `default` is `local`.
    fn default() -> Self {
        let mut config = UserConfig {
            path: None,
            defaults: Defaults::default(),
            providers: BTreeMap::new(),
            services: BTreeMap::new(),
            backups: BTreeMap::new(),
            devel: BTreeMap::new(),
        };
        config.add_built_in();
        config
    }
}

/// Where the user's configuration is when nothing else is said; none without a home directory.
pub fn default_path() -> Option<PathBuf> {
    Some(dirs::config_dir()?.join("cloudtool").join("cloudtool.ini"))
}

/// Reads `path`, or the user's own file. A file that was named must be there; without the user's own file the built-in defaults
/// hold.
///
/// Errors: [`Error::Read`], [`Error::TooBig`], [`Error::Exposed`], or [`Error::Problems`] with everything that is wrong.
pub fn load(path: Option<&Path>) -> Result<UserConfig, Error> {
    let Some(file) = path.map(Path::to_owned).or_else(default_path) else { return Ok(UserConfig::default()) };
    if path.is_none() && !file.exists() {
        return Ok(UserConfig::default());
    }
    let config = parse(&file, &ini_file::read(&file)?)?;
    let metadata = std::fs::metadata(&file).map_err(|source| Error::Read { path: file.clone(), source })?;
    if metadata.permissions().mode() & 0o077 != 0 && config.holds_secret() {
        return Err(Error::Exposed(file));
    }
    Ok(config)
}

/// Checks the text of a user's configuration; `path` is for the messages.
pub fn parse(path: &Path, text: &str) -> Result<UserConfig, Error> {
    let (file, mut problems) = ini_file::parse(path, text, &DIALECT);
    let file = file.together(&mut problems);
    let mut config = UserConfig {
        path: Some(path.to_owned()),
        defaults: Defaults::default(),
        providers: BTreeMap::new(),
        services: BTreeMap::new(),
        backups: BTreeMap::new(),
        devel: BTreeMap::new(),
    };
    let mut reader = Reader { file: &file, problems };
    for section in &file.sections {
        match section.name.split_once(':').map(|(kind, name)| (kind.trim(), name.trim())) {
            Some(("provider", name)) if reader.is_name(section, name) => {
                config.providers.insert(name.to_owned(), reader.provider(section, name));
            }
            Some(("service", name)) if reader.is_name(section, name) => {
                let settings = section.entries.iter().map(|entry| (entry.key.clone(), Secret::new(entry.text())));
                config.services.insert(name.to_owned(), settings.collect());
            }
            Some(("backups", name)) if reader.is_name(section, name) => {
                config.backups.insert(name.to_owned(), reader.backups(section, name));
            }
            Some(("devel", name)) if reader.is_name(section, name) => {
                config.devel.insert(name.to_owned(), reader.devel(section));
            }
            Some(("provider" | "service" | "backups" | "devel", _)) => {}
            None if section.name == "defaults" => config.defaults = reader.defaults(section),
            None if section.name == "devel" => drop(config.devel.insert(String::new(), reader.devel(section))),
            // The header was refused already.
            None if section.name.is_empty() => {}
            _ => reader.unknown_section(section),
        }
    }
    config.add_built_in();
    reader.check_default_provider(&config);
    let mut problems = reader.problems;
    problems.sort_by_key(|problem| problem.line);
    if problems.is_empty() { Ok(config) } else { Err(Error::Problems(problems)) }
}

impl UserConfig {
    /// The provider section of that name, or the default one. None when there is no such section.
    pub fn provider(&self, name: Option<&str>) -> Option<&ProviderConfig> {
        let name = name.or(self.defaults.provider.as_deref()).unwrap_or("default");
        self.providers.get(name)
    }

    fn add_built_in(&mut self) {
        for name in ["local", "default"] {
            self.providers.entry(name.to_owned()).or_insert_with(|| ProviderConfig {
                name: name.to_owned(),
                provider: "local".to_owned(),
                ..ProviderConfig::default()
            });
        }
    }

    /// Whether somebody who reads the file learns something.
    fn holds_secret(&self) -> bool {
        let literal = |secret: &Secret| is_literal(secret.expose());
        let names_secret =
            |key: &str| ["secret", "password", "token"].iter().any(|word| key.to_lowercase().contains(word));
        let has_password = |text: &str| text.split_once("://").is_some_and(|(_, rest)| rest.contains('@'));
        let provider = |provider: &ProviderConfig| {
            provider.secret.iter().chain(provider.secrets.values()).any(literal)
                || provider.endpoint.as_deref().is_some_and(has_password)
        };
        let setting =
            |(key, value): (&String, &Secret)| (names_secret(key) && literal(value)) || has_password(value.expose());
        let backups = |backups: &BackupsConfig| backups.secrets().any(literal);
        self.providers.values().any(provider)
            || self.backups.values().any(backups)
            || self.services.values().chain(self.devel.values()).flatten().any(setting)
    }
}

/// Whether a secret is itself, and does not only say where it is.
pub fn is_literal(text: &str) -> bool {
    !text.is_empty() && text != "TBD" && !["env:", "command:", "file:"].iter().any(|kind| text.starts_with(kind))
}

/// Whether what stands at a key of a section must not be shown.
pub fn is_secret(key: &str) -> bool {
    key == "secret" || SECRET_KEYS.contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        parse(Path::new("cloudtool.ini"), text).unwrap_err().to_string()
    }

    #[test]
    fn without_a_file_there_is_local() {
        let config = UserConfig::default();
        assert_eq!(config.provider(None).unwrap().provider, "local");
        assert_eq!(config.provider(Some("local")).unwrap().provider, "local");
        assert_eq!(config.provider(Some("other")), None);
        let missing = load(Some(Path::new("/nonexistent/cloudtool.ini"))).unwrap_err();
        assert!(matches!(missing, Error::Read { .. }));
    }

    #[test]
    fn everything_at_once() {
        let text = "[defaults]\nnode = web1\nkeep = 3\nprovider = h\n\
            [provider:h]\nprovider = Hetzner\nsecret = s ;#=:\nregion = eu\nproject = p\ntoken = t\nroot_authorized_keys =\n  ssh-ed25519 A\n  ssh-ed25519 B\n\
            [service:couchdb]\nurl = https://admin:pw@couch.example.com\nAnything = x\n";
        let config = parse(Path::new("x"), text).unwrap();
        assert_eq!(config.defaults.node.as_ref().unwrap().as_str(), "web1");
        assert_eq!(config.defaults.keep, Some(3));
        let provider = config.provider(None).unwrap();
        assert_eq!((provider.name.as_str(), provider.provider.as_str()), ("h", "hetzner"));
        assert_eq!(provider.secret.as_ref().unwrap().expose(), "s ;#=:");
        assert_eq!(provider.secrets["token"].expose(), "t");
        assert_eq!(provider.rest["project"], "p");
        assert_eq!(provider.root_authorized_keys.as_deref(), Some("ssh-ed25519 A\nssh-ed25519 B"));
        assert_eq!(config.services["couchdb"]["Anything"].expose(), "x");
        let shown = format!("{config:?}");
        assert!(!shown.contains("pw@") && !shown.contains("s ;#"), "{shown}");
    }

    #[test]
    fn a_destination_of_backups() {
        let key = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
        let text = format!(
            "[defaults]\nbackups = far\n[backups:far]\nurl = s3://mine/x\nsecret_key = sesame\nrecipients = {key},\n  {key}\nkeep = 7 daily, 4 weekly\n\
             host_key = ssh-ed25519 AAAAC3 backup@host\n  ssh-rsa AAAAB3\n"
        );
        let config = parse(Path::new("x"), &text).unwrap();
        assert_eq!(config.defaults.backups.as_deref(), Some("far"));
        let far = &config.backups["far"];
        assert_eq!((far.name.as_str(), far.url.as_str()), ("far", "s3://mine/x"));
        assert_eq!((far.recipients.len(), far.keep.as_deref()), (2, Some("7 daily, 4 weekly")));
        assert_eq!(far.host_keys, ["ssh-ed25519 AAAAC3", "ssh-rsa AAAAB3"]);
        assert!(!format!("{config:?}").contains("sesame"));
        insta::assert_snapshot!(problems("[backups:a]\nkeep = 7 dayly\nrecipients = age1x\nhost_key = x\nendpont = y\n"), @r#"
        cloudtool.ini:1: backups:a.url: the key is missing: it says where backups go, e.g. url = s3://my-backups
        cloudtool.ini:2: backups:a.keep: "7 dayly" does not say what to keep: it is like '7 daily, 4 weekly' (last, hourly, daily, weekly, monthly, yearly)
        cloudtool.ini:3: backups:a.recipients: "age1x" is no public key of age: age-keygen prints them, age1 and 58 letters and digits
        cloudtool.ini:4: backups:a.host_key: "x" is no public key of a server: ssh-keyscan prints them, e.g. ssh-ed25519 AAAA...
        cloudtool.ini:5: backups:a.endpont: unknown key, did you mean "endpoint"?
        "#);
    }

    #[test]
    fn what_apps_see_on_this_machine() {
        let text = "[devel]\nredis.host = localhost\nfiles = /data/APP_NAME\n[devel:shop]\nAPI_KEY = sesame\n";
        let config = parse(Path::new("x"), text).unwrap();
        assert_eq!(config.devel[""].keys().collect::<Vec<_>>(), ["files", "redis.host"]);
        assert_eq!(config.devel["shop"]["API_KEY"].expose(), "sesame");
        assert!(!format!("{config:?}").contains("sesame"));
        insta::assert_snapshot!(problems("[devel]\nCONFIG_X = 1\nA-B = 2\nredis. = 3\n[devel:a b]\n[devl:x]\n"), @r#"
        cloudtool.ini:2: devel.CONFIG_X: names that start with CLOUDTOOL_ or CONFIG_ are given by the node
        cloudtool.ini:3: devel.A-B: a variable's name has letters, digits and '_', and does not start with a digit
        cloudtool.ini:5: [devel:a b]: "a b" is not a name: it has letters, digits, '-', '_' and '.'
        cloudtool.ini:6: [devl:x]: unknown section: there are [defaults], [provider:NAME], [service:NAME], [backups:NAME], [devel] and [devel:APP], did you mean "[devel:x]"?
        "#);
    }

    #[test]
    fn all_problems_in_one_run() {
        insta::assert_snapshot!(problems("[defaults]\nprovider = hetzer\nkep = 1\nkeep = 1\nnode = A_b\n[provider:hetzner]\nsecrt = hunter2\nimage_name = x\n[provider:]\n[privider:x]\nprovider = y\n[general]\nhunter2\n"), @r#"
        cloudtool.ini:2: defaults.provider: there is no section [provider:hetzer], did you mean "hetzner"?
        cloudtool.ini:3: defaults.kep: unknown key, did you mean "keep"?
        cloudtool.ini:4: defaults.keep: "1" is not a number from 2 to 100
        cloudtool.ini:5: defaults.node: "A_b" is not a node name: it has 1 to 253 lower-case letters, digits, '-' and '.', each part starts and ends with a letter or digit
        cloudtool.ini:6: provider:hetzner.provider: the key is missing: it names the cloud, e.g. provider = hetzner
        cloudtool.ini:7: provider:hetzner.secrt: unknown key, did you mean "secret"?
        cloudtool.ini:8: provider:hetzner.image_name: unknown key, did you mean "image"?
        cloudtool.ini:9: [provider:]: "" is not a name: it has letters, digits, '-', '_' and '.'
        cloudtool.ini:10: [privider:x]: unknown section: there are [defaults], [provider:NAME], [service:NAME], [backups:NAME], [devel] and [devel:APP], did you mean "[provider:x]"?
        cloudtool.ini:12: [general]: unknown section: there are [defaults], [provider:NAME], [service:NAME], [backups:NAME], [devel] and [devel:APP]
        cloudtool.ini:13: neither [section] nor key = value
        "#);
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cloud tool.ini");
        let load_with = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            load(Some(&path))
        };
        let provider = "[provider:h]\nprovider = hetzner\n";
        for secret in [
            "secret = hunter2",
            "token = hunter2",
            "endpoint = http://a:hunter2@b/",
            "[backups:b]\nurl = s3://b\nsecret_key = hunter2",
            "[service:couchdb]\npassword = hunter2",
            "[devel:shop]\npostgresql.password = hunter2",
            "[devel]\npostgresql.url = postgresql://a:hunter2@b/c",
            "[service:couchdb]\nurl = https://a:hunter2@b/",
        ] {
            let text = format!("{provider}{secret}\n");
            assert!(load_with(&text, 0o600).is_ok(), "{secret}");
            for mode in [0o640, 0o604] {
                let error = load_with(&text, mode).unwrap_err();
                assert!(matches!(error, Error::Exposed(_)), "{secret}");
                let hint = crate::error::Explain::hint(&error).unwrap();
                assert!(hint.starts_with("Run: chmod 600 '/") && hint.ends_with("cloud tool.ini'"), "{hint}");
            }
        }
        for harmless in ["secret = env:TOKEN", "secret = TBD", "region = eu", "[service:couchdb]\nurl = https://b/"] {
            assert!(load_with(&format!("{provider}{harmless}\n"), 0o644).is_ok(), "{harmless}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(?s).{0,200}|(\\[[a-z:]{0,12}\\]\n|[a-z]{0,6} ?= ?.{0,8}\n){0,8}") {
            if let Ok(config) = parse(Path::new("x"), &text) {
                assert!(config.provider(None).is_some());
            }
        }
    }
}
