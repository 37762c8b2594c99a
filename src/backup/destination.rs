//! Where backups go, with all that it takes to get there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{Archive, Url};
use crate::config::referred::{self, Ask};
use crate::config::{BackupsConfig, UserConfig, paths::expand_home};
use crate::error::{Explain, Kind};
use crate::inventory::KnownHosts;
use crate::names::Secret;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// As the user writes it.
    pub name: String,
    pub at: At,
    /// For whom backups are encrypted that go there: public keys of age.
    pub recipients: Vec<String>,
    /// Which of them stay.
    pub keep: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// A directory of this machine.
    Directory(PathBuf),
    /// A file of this machine with one backup in it.
    Archive(PathBuf),
    /// A bucket, which nodes reach themselves. `prefix` is empty or ends with a slash.
    S3 { bucket: String, prefix: String, endpoint: String, region: String, access_key: Secret, secret_key: Secret },
    /// A directory of another server, which nodes reach themselves with this private key.
    Ssh { user: String, host: String, port: u16, path: String, key: Secret, host_keys: Vec<String> },
}

/// A destination that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct BadDestination {
    message: String,
    hint: Option<String>,
}

impl Explain for BadDestination {
    fn kind(&self) -> Kind {
        Kind::Usage
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

fn bad(message: impl Into<String>, hint: &str) -> BadDestination {
    BadDestination { message: message.into(), hint: Some(hint.to_owned()).filter(|hint| !hint.is_empty()) }
}

/// Where values that are not written out come from.
pub struct Sources<'a> {
    pub config: &'a UserConfig,
    pub ask: Ask<'a>,
    /// The person at this machine, for servers whose URL names none.
    pub user: String,
}

impl Destination {
    /// A directory of this machine, which is no URL and no section's name.
    pub fn directory(dir: &Path) -> std::io::Result<Self> {
        let dir = std::path::absolute(dir)?;
        Ok(Destination { name: dir.display().to_string(), at: At::Directory(dir), recipients: Vec::new(), keep: None })
    }

    /// What `text` means: the NAME of a `[backups:NAME]`, a URL, or a directory.
    pub fn find(text: &str, sources: &Sources<'_>) -> Result<Self, BadDestination> {
        let section = sources.config.backups.get(text);
        let address = section.map_or(text, |section| &section.url);
        if section.is_none() && !Url::is_meant(text) && Archive::is_meant(text) {
            let path = std::path::absolute(expand_home(text))
                .map_err(|error| bad(format!("{text} is no file: {error}"), ""))?;
            return Ok(Destination {
                name: text.to_owned(),
                at: At::Archive(path),
                recipients: Vec::new(),
                keep: None,
            });
        }
        if !Url::is_meant(address) {
            let found = Self::directory(&expand_home(address))
                .map_err(|error| bad(format!("{address} is no directory: {error}"), ""))?;
            return Ok(Destination { name: text.to_owned(), ..found }.ruled_by(section));
        }
        let url: Url = address.parse().map_err(|message: String| bad(format!("{text}: {message}"), ""))?;
        let section = match section {
            Some(section) => Some(section),
            None => beside(&url, address, sources.config)?,
        };
        let settings = Settings { section, sources, name: text };
        let at = match url {
            Url::S3 { bucket, prefix } => settings.s3(bucket, prefix)?,
            Url::Ssh { user, host, port, path } => settings.ssh(user, host, port, path)?,
        };
        Ok(Destination { name: text.to_owned(), at, recipients: Vec::new(), keep: None }.ruled_by(section))
    }

    fn ruled_by(self, section: Option<&BackupsConfig>) -> Self {
        let Some(section) = section else { return self };
        Destination { recipients: section.recipients.clone(), keep: section.keep.clone(), ..self }
    }

    /// The `store` of a request; `by` tells the same directory of different machines apart.
    pub fn request(&self, by: &str) -> Value {
        match &self.at {
            At::Directory(dir) => json!({"kind": "client", "name": format!("{by}:{}", dir.display())}),
            At::Archive(path) => {
                json!({"kind": "client", "name": format!("{by}:{}", path.display()), "once": true})
            }
            At::S3 { bucket, prefix, endpoint, region, access_key, secret_key } => json!({
                "kind": "s3", "bucket": bucket, "prefix": prefix, "endpoint": endpoint, "region": region,
                "access_key": access_key.expose(), "secret_key": secret_key.expose(),
            }),
            At::Ssh { user, host, port, path, key, host_keys } => json!({
                "kind": "ssh", "user": user, "host": host, "port": port, "path": path,
                "key": key.expose(), "host_keys": host_keys,
            }),
        }
    }

    /// How a backup there is called.
    pub fn called(&self, app: &str, id: &str) -> String {
        match self.at {
            At::Archive(_) => self.name.clone(),
            _ => format!("{}/{app}/{id}", self.name.trim_end_matches('/')),
        }
    }
}

/// The section whose settings open the same bucket or account: the one that the address lies in, or the only one.
fn beside<'a>(url: &Url, address: &str, config: &'a UserConfig) -> Result<Option<&'a BackupsConfig>, BadDestination> {
    let same = |section: &&BackupsConfig| section.url.parse().is_ok_and(|other: Url| url.is_beside(&other));
    let all: Vec<&BackupsConfig> = config.backups.values().filter(same).collect();
    let around = |section: &&&BackupsConfig| {
        let rest = address.strip_prefix(section.url.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let closest = all.iter().filter(around).max_by_key(|section| section.url.len());
    match (closest, &all[..]) {
        (Some(section), _) | (None, [section]) => Ok(Some(section)),
        (None, []) => Ok(None),
        (None, [one, other, ..]) => Err(bad(
            format!("{address}: both [backups:{}] and [backups:{}] may open it", one.name, other.name),
            "write a section with this url, and name that",
        )),
    }
}

struct Settings<'a> {
    section: Option<&'a BackupsConfig>,
    sources: &'a Sources<'a>,
    name: &'a str,
}

impl Settings<'_> {
    fn s3(&self, bucket: String, prefix: String) -> Result<At, BadDestination> {
        let of = |value: fn(&BackupsConfig) -> Option<&String>| self.section.and_then(value).cloned();
        let region = of(|section| section.region.as_ref()).or_else(|| variable(&["AWS_REGION", "AWS_DEFAULT_REGION"]));
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        let endpoint =
            of(|section| section.endpoint.as_ref()).or_else(|| variable(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]));
        let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        if endpoint.contains('@') || !(endpoint.starts_with("https://") || endpoint.starts_with("http://")) {
            return Err(bad(format!("the endpoint of {} is no address like https://s3.example.com", self.name), ""));
        }
        let access_key =
            self.secret("access_key", self.section.and_then(|s| s.access_key.as_ref()), "AWS_ACCESS_KEY_ID")?;
        let secret_key =
            self.secret("secret_key", self.section.and_then(|s| s.secret_key.as_ref()), "AWS_SECRET_ACCESS_KEY")?;
        Ok(At::S3 { bucket, prefix, endpoint, region, access_key, secret_key })
    }

    fn ssh(&self, user: Option<String>, host: String, port: u16, path: String) -> Result<At, BadDestination> {
        let Some(key) = self.section.and_then(|section| section.key.as_ref()) else {
            return Err(bad(
                format!("there is no key for {}", self.name),
                "add a section [backups:NAME] with url and key = FILE, a private key made for this: the nodes are given it",
            ));
        };
        let text = key.expose();
        let is_path = text.starts_with(['/', '~', '.']);
        let reference = if is_path { format!("file:{text}") } else { text.to_owned() };
        // What `resolve` trims, ssh wants back.
        let key = Secret::new(format!("{}\n", self.resolve("key", &reference)?.expose()));
        let mut host_keys = self.section.map(|section| section.host_keys.clone()).unwrap_or_default();
        if host_keys.is_empty() {
            host_keys = known_keys(&host, port).map_err(|message| bad(message, ""))?;
        }
        if host_keys.is_empty() {
            return Err(bad(
                format!("the server {host} of {} is not known: nobody could tell it from another", self.name),
                "log in once with ssh and compare its key, or write host_key = ssh-ed25519 AAAA... into the section",
            ));
        }
        Ok(At::Ssh { user: user.unwrap_or_else(|| self.sources.user.clone()), host, port, path, key, host_keys })
    }

    fn secret(&self, key: &str, value: Option<&Secret>, name: &str) -> Result<Secret, BadDestination> {
        match value {
            Some(value) => self.resolve(key, value.expose()),
            None => variable(&[name]).map(Secret::new).ok_or_else(|| {
                let hint = format!("write {key} into a section [backups:NAME] with its url, or set {name}");
                bad(format!("{} has no {key}", self.name), &hint)
            }),
        }
    }

    fn resolve(&self, key: &str, text: &str) -> Result<Secret, BadDestination> {
        let section = self.section.map_or(self.name, |section| &section.name);
        let from = format!("`{key}` in [backups:{section}]");
        let found = referred::resolve(text, from, self.name, self.sources.ask).map_err(|message| bad(message, ""))?;
        Ok(found.value)
    }
}

fn variable(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

/// The keys that this machine knows a server by: cloudtool's own, else the user's.
fn known_keys(host: &str, port: u16) -> Result<Vec<String>, String> {
    let own = KnownHosts::open().and_then(|known| known.keys(host, port)).map_err(|error| error.to_string())?;
    if !own.is_empty() {
        return Ok(own);
    }
    let name = if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") };
    // Names are hashed there: ssh-keygen finds them. Where it is missing, nothing is known.
    let found = Command::new("ssh-keygen").args(["-F", &name]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let text = found.map(|found| String::from_utf8_lossy(&found.stdout).into_owned()).unwrap_or_default();
    let key = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [name, kind, base64, ..] if !name.starts_with(['#', '@']) => Some(format!("{kind} {base64}")),
        _ => None,
    };
    Ok(text.lines().filter_map(key).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::user;

    fn find(text: &str) -> Result<Destination, String> {
        let config = user::parse(
            Path::new("x"),
            "[backups:a]\nurl = s3://mine/a\naccess_key = A\nsecret_key = a-secret\nkeep = 1 last\n\
             [backups:b]\nurl = s3://mine/b\naccess_key = B\nsecret_key = b-secret\n\
             [backups:only]\nurl = s3://only\naccess_key = C\nsecret_key = TBD\n\
             [backups:disk]\nurl = /mnt/disk\nkeep = 2 last\n",
        )
        .unwrap();
        let sources = Sources { config: &config, ask: &|_| Some(Secret::new("typed")), user: "me".to_owned() };
        Destination::find(text, &sources).map_err(|error| error.to_string())
    }

    fn keys(text: &str) -> (String, String) {
        match find(text).unwrap().at {
            At::S3 { access_key, secret_key, .. } => (access_key.expose().to_owned(), secret_key.expose().to_owned()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_url_is_opened_by_the_section_it_lies_in() {
        let key = |name: &str, secret: &str| (name.to_owned(), secret.to_owned());
        assert_eq!(keys("a"), key("A", "a-secret"));
        assert_eq!(keys("s3://mine/b/deeper"), key("B", "b-secret"));
        assert_eq!(keys("s3://only/x"), key("C", "typed"));
        assert!(find("s3://mine/bother").unwrap_err().contains("both [backups:a] and [backups:b]"));
        assert!(find("ssh://host/x").unwrap_err().contains("there is no key"));
        assert!(!format!("{:?}", find("a")).contains("a-secret"));
    }

    #[test]
    fn what_is_no_url_is_on_this_machine() {
        let disk = find("disk").unwrap();
        assert_eq!((disk.at, disk.keep), (At::Directory("/mnt/disk".into()), Some("2 last".to_owned())));
        assert_eq!(find("/mnt/x/").unwrap().called("shop", "ID"), "/mnt/x/shop/ID");
        let archive = find("/mnt/x.tar").unwrap();
        assert_eq!((archive.called("shop", "ID"), archive.at), ("/mnt/x.tar".into(), At::Archive("/mnt/x.tar".into())));
        assert_eq!(find("a").unwrap().called("shop", "ID"), "a/shop/ID");
    }
}
