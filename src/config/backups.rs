//! `[backups:NAME]` of the user's configuration: where backups go, for whom they are encrypted, which of them stay.

use super::values;
use crate::names::Secret;

/// One `[backups:NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupsConfig {
    /// NAME of the section.
    pub name: String,
    /// `s3://BUCKET[/PREFIX]`, `ssh://[USER@]HOST[:PORT]/PATH`, or a directory.
    pub url: String,
    /// Address of an S3-compatible service; none: Amazon's, of the region.
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub access_key: Option<Secret>,
    pub secret_key: Option<Secret>,
    /// The private key that opens the other server for the node.
    pub key: Option<Secret>,
    /// What that server is known by, `type base64` each.
    pub host_keys: Vec<String>,
    /// Public keys of age.
    pub recipients: Vec<String>,
    /// Which backups stay: `7 daily, 4 weekly`.
    pub keep: Option<String>,
}

pub(super) const KEYS: [&str; 9] =
    ["url", "endpoint", "region", "access_key", "secret_key", "key", "host_key", "recipients", "keep"];

impl BackupsConfig {
    /// Errors: what is wrong with the value, or nothing when there is no such key.
    pub(super) fn set(&mut self, key: &str, text: String) -> Result<(), Option<String>> {
        match key {
            "url" => self.url = text,
            "endpoint" => self.endpoint = Some(text),
            "region" => self.region = Some(text),
            "access_key" => self.access_key = Some(Secret::new(text)),
            "secret_key" => self.secret_key = Some(Secret::new(text)),
            "key" => self.key = Some(Secret::new(text)),
            "host_key" => self.host_keys = host_keys(&text)?,
            "recipients" => self.recipients = recipients(&text)?,
            "keep" => self.keep = Some(values::keep(&text)?),
            _ => return Err(None),
        }
        Ok(())
    }

    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        [&self.access_key, &self.secret_key, &self.key].into_iter().flatten()
    }
}

/// One a line, with or without what they are called.
fn host_keys(text: &str) -> Result<Vec<String>, String> {
    let key = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [kind, base64] | [kind, base64, _] if base64.starts_with("AAAA") => Ok(format!("{kind} {base64}")),
            _ => {
                Err(format!("{line:?} is no public key of a server: ssh-keyscan prints them, e.g. ssh-ed25519 AAAA..."))
            }
        }
    };
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(key).collect()
}

/// Between commas, blanks or newlines.
fn recipients(text: &str) -> Result<Vec<String>, String> {
    let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
    words.map(values::age_recipient).collect()
}
