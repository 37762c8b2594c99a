//! What `app.ini` says, with all defaults filled in: the `settings` of the node protocol (`docs/architecture.md`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The settings of an app. The order of the fields is the order of the JSON document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub platform: Platform,
    /// None for static apps and for PHP without a front controller.
    pub runner: Option<Runner>,
    /// The directory with PHP and static files, relative to the app.
    pub php_root: Option<String>,
    /// Names of apt packages.
    pub packages: Vec<String>,
    /// pip's requirements file, relative to the app.
    pub requirements: Option<String>,
    pub services: Vec<ServiceUse>,
    /// What runs against a new release before it serves, in this order.
    pub update_fetch: Vec<Fetch>,
    /// Whether an update keeps the data as they were before it.
    #[serde(default)]
    pub snapshot: Snapshot,
    /// A URL path.
    pub health_check: String,
    /// Seconds.
    pub health_timeout: u32,
    pub processes: u32,
    /// Threads a process.
    pub threads: u32,
    /// Bytes; none: no limit.
    pub memory: Option<u64>,
    /// Seconds.
    pub request_timeout: u32,
    /// Seconds.
    pub drain_timeout: u32,
    pub env: BTreeMap<String, String>,
    /// What kind of certificate the app's hosts have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// After how many seconds without a visitor the app sleeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_stop: Option<u32>,
    /// Paths, with all below them, whose requests keep no app awake.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle_ignore: Vec<String>,
    /// `config.*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigWish>,
    /// `[backup]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupPlan>,
    /// `[process:NAME]`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub workers: BTreeMap<String, Process>,
    /// `[cron:NAME]`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub crons: BTreeMap<String, Cron>,
}

/// What runs beside the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The command line.
    pub words: Vec<String>,
    /// How many of it run, where `scale` has not said otherwise.
    pub count: u32,
    /// Bytes, of each; none: no limit.
    pub memory: Option<u64>,
    /// Seconds it has to end by itself.
    pub stop_timeout: u32,
}

/// `config.*`: what is to be set for the app on the node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigWish {
    /// Without these the app is not deployed.
    pub required: Vec<String>,
    /// What holds where nothing is set.
    pub default: BTreeMap<String, String>,
    /// `module:function` of the app, which is called with all of it before a release starts.
    pub checker: Option<String>,
}

/// When the node backs the app up by itself, and how a copy of its data is checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupPlan {
    /// Nothing: when somebody asks for it.
    #[serde(flatten)]
    pub when: Option<When>,
    /// A destination of whoever deploys: the NAME of a `[backups:NAME]`, or a URL.
    pub to: Option<String>,
    /// Which backups stay: `7 daily, 4 weekly`.
    pub keep: Option<String>,
    /// A file of the app and its arguments, which fails when a copy of the data is not good.
    pub check: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// So many minutes, from midnight on.
    Every(u32),
    /// A time of the day, `03:15`, of the node's clock.
    At(String),
}

/// What runs at its times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cron {
    /// Expressions as systemd has them in `OnCalendar=`, without a time zone; each alone is enough.
    pub calendar: Vec<String>,
    /// A name of tzdata; none: the node's.
    pub timezone: Option<String>,
    pub job: Job,
    pub concurrency: Concurrency,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Job {
    /// A command line.
    Run(Vec<String>),
    /// A URL path, fetched inside the app.
    Fetch(String),
}

/// What happens when a job's time comes while it still runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Concurrency {
    /// The new run is left out.
    #[default]
    Forbid,
    /// Both run.
    Allow,
    /// The old run is ended first.
    Replace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    Python,
    Php,
    Static,
    /// Whatever a command runs; of Python it is only when the app has requirements, or says so.
    Command,
}

impl Platform {
    /// As it is written in app.ini and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Platform::Python => "python",
            Platform::Php => "php",
            Platform::Static => "static",
            Platform::Command => "command",
        }
    }
}

/// A certificate for all hosts of the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    pub kind: Certificate,
    /// The directory of the certificate authority; none: Let's Encrypt.
    pub server: Option<String>,
    /// For how many seconds browsers shall ask by https only.
    pub hsts: Option<u32>,
    /// What the node is given beside the settings.
    #[serde(skip)]
    pub own: Option<OwnCertificate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Certificate {
    /// From a certificate authority, by ACME.
    Auto,
    /// The app brings it.
    Own,
}

/// Where the app's own certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnCertificate {
    /// A file of the app: the certificate and its chain.
    pub chain: String,
    /// `env:NAME` or `file:PATH`, on the machine of whoever deploys.
    pub key: String,
}

/// When an update takes a snapshot of the app's data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Snapshot {
    /// When something of update_fetch will run, which may change the data.
    #[default]
    Auto,
    Always,
    Never,
}

/// What answers an app's requests. Files are relative to the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Runner {
    /// `object` of a Python file.
    Wsgi { file: String, object: String },
    /// The app `object` of a Paste Deploy file.
    Paste { file: String, object: String },
    /// A front controller.
    Php { file: String },
    /// A server of its own, which listens on `$PORT`.
    Command { words: Vec<String> },
}

impl Runner {
    pub fn file(&self) -> Option<&str> {
        match self {
            Runner::Wsgi { file, .. } | Runner::Paste { file, .. } | Runner::Php { file } => Some(file),
            Runner::Command { .. } => None,
        }
    }
}

/// A service the app asks for, and the text behind `service.NAME =`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceUse {
    pub name: String,
    pub value: String,
}

/// One entry of `update_fetch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fetch {
    /// A URL path, fetched inside the app.
    Fetch(String),
    /// A file of the app and its arguments.
    Script(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_what_the_node_expects() {
        let text = r#"{"platform":"python","runner":{"kind":"wsgi","file":"src/app.py","object":"application"},"php_root":null,"packages":["python3-lxml"],"requirements":"requirements.txt","services":[{"name":"postgis","value":""}],"update_fetch":[{"fetch":"/sync"},{"script":["bin/manage.py","migrate"]}],"snapshot":"auto","health_check":"/","health_timeout":30,"processes":2,"threads":8,"memory":null,"request_timeout":60,"drain_timeout":30,"env":{"LANG":"C.UTF-8"}}"#;
        let settings: Settings = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&settings).unwrap(), text);
    }
}
