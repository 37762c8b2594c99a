//! Host keys: strict. A key that changed always stops, an unknown one is for a person to decide.

use std::io::Write;
use std::path::{Path, PathBuf};

use ssh2::{CheckResult, HashType, HostKeyType, KnownHostFileKind};

use super::error::{Error, bracketed};
use super::{Destination, session};

/// A host key nobody vouched for.
pub struct UnknownKey<'a> {
    pub node: &'a str,
    pub host: &'a str,
    /// `ssh-ed25519 SHA256:...`
    pub fingerprint: &'a str,
}

/// The known keys: cloudtool's own file (pinned at creation), and the user's.
pub struct HostKeys<'a> {
    /// cloudtool's known_hosts file; new keys go there.
    pub own: PathBuf,
    /// Asks whether to trust an unknown key. `None`: there is nobody to ask.
    pub ask: Option<&'a dyn Fn(&UnknownKey) -> bool>,
}

impl HostKeys<'_> {
    /// Compares the key of a connected session with the known ones; remembers it when a person vouches for it.
    pub(super) fn verify(&self, ssh: &ssh2::Session, destination: &Destination) -> Result<(), Error> {
        let Some((key, key_type)) = ssh.host_key() else {
            return Err(session::lost(destination, "the server showed no host key"));
        };
        let shown = format!("{} {}", key_type_name(key_type), fingerprint(ssh));
        let (host, port) = (destination.host.as_str(), destination.port);
        let mut known = ssh.known_hosts().map_err(|error| session::lost(destination, error))?;
        for file in self.files(destination) {
            known
                .read_file(file, KnownHostFileKind::OpenSSH)
                .map_err(|error| Error::KnownHosts { path: file.to_owned(), reason: error.message().to_owned() })?;
        }
        match known.check_port(host, port, key) {
            CheckResult::Match => Ok(()),
            CheckResult::Mismatch => Err(Error::HostKeyChanged {
                node: destination.name.clone(),
                host: host.to_owned(),
                port,
                known: "another key of this host".to_owned(),
                shown,
            }),
            CheckResult::NotFound | CheckResult::Failure => {
                let unknown = UnknownKey { node: &destination.name, host, fingerprint: &shown };
                if self.ask.is_some_and(|ask| ask(&unknown)) {
                    self.remember(host, port, key_type_name(key_type), key)
                } else {
                    Err(Error::HostKeyUnknown { node: destination.name.clone(), host: host.to_owned(), port, shown })
                }
            }
        }
    }

    /// The host key algorithms to ask for, those of known keys first: a server has several keys, and we must be shown one we can compare.
    pub(super) fn preferred_algorithms(&self, destination: &Destination) -> String {
        let files = self.files(destination);
        let texts = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
        let name = bracketed(&destination.host, destination.port);
        let known: Vec<String> = texts.flat_map(|text| known_types(&text, &name)).collect();
        let (mut first, second): (Vec<&str>, Vec<&str>) = ALGORITHMS.iter().partition(|algorithm| {
            let key_type = if algorithm.starts_with("rsa-") { "ssh-rsa" } else { algorithm };
            known.iter().any(|known| known == key_type)
        });
        first.extend(second);
        first.join(",")
    }

    fn files<'f>(&'f self, destination: &'f Destination) -> Vec<&'f Path> {
        let own = std::iter::once(self.own.as_path());
        own.chain(destination.known_hosts.iter().map(PathBuf::as_path)).filter(|file| file.is_file()).collect()
    }

    fn remember(&self, host: &str, port: u16, key_type: &str, key: &[u8]) -> Result<(), Error> {
        let line = format!("{} {key_type} {}\n", bracketed(host, port), base64(key));
        let append = || -> std::io::Result<()> {
            if let Some(folder) = self.own.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::OpenOptions::new().append(true).create(true).open(&self.own)?.write_all(line.as_bytes())
        };
        append().map_err(|error| Error::KnownHosts { path: self.own.clone(), reason: error.to_string() })
    }
}

const ALGORITHMS: [&str; 6] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// The types of the keys that a known_hosts text holds for `name` (`host` or `[host]:port`).
fn known_types(text: &str, name: &str) -> Vec<String> {
    let fields = text.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    fields
        .filter(|fields| fields.len() >= 3 && !fields[0].starts_with(['#', '@']))
        .filter(|fields| fields[0].split(',').any(|pattern| names(pattern, name)))
        .map(|fields| fields[1].to_owned())
        .collect()
}

/// Whether a host pattern of a known_hosts file, plain or hashed (`|1|SALT|HMAC-SHA1`), is this host.
fn names(pattern: &str, name: &str) -> bool {
    use hmac::Mac;
    let Some(hashed) = pattern.strip_prefix("|1|") else { return pattern == name };
    let Some((salt, hash)) = hashed.split_once('|') else { return false };
    let (Some(salt), Some(hash)) = (unbase64(salt), unbase64(hash)) else { return false };
    hmac::Hmac::<sha1::Sha1>::new_from_slice(&salt)
        .is_ok_and(|mac| mac.chain_update(name.as_bytes()).verify_slice(&hash).is_ok())
}

/// `SHA256:...` as `ssh-keygen -l` prints it.
fn fingerprint(ssh: &ssh2::Session) -> String {
    match ssh.host_key_hash(HashType::Sha256) {
        Some(hash) => format!("SHA256:{}", base64(hash).trim_end_matches('=')),
        None => "(no fingerprint)".to_owned(),
    }
}

fn key_type_name(key_type: HostKeyType) -> &'static str {
    match key_type {
        HostKeyType::Rsa => "ssh-rsa",
        HostKeyType::Dss => "ssh-dss",
        HostKeyType::Ecdsa256 => "ecdsa-sha2-nistp256",
        HostKeyType::Ecdsa384 => "ecdsa-sha2-nistp384",
        HostKeyType::Ecdsa521 => "ecdsa-sha2-nistp521",
        HostKeyType::Ed25519 => "ssh-ed25519",
        HostKeyType::Unknown => "unknown",
    }
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_hashed_names_are_found() {
        // The second line is what `ssh-keygen -H` made of `[198.18.0.1]:2222`.
        let text = "web.example.com,10.0.0.1 ssh-ed25519 AAAA\n\
            |1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= ssh-rsa AAAA\n\
            # comment ssh-rsa AAAA\n";
        assert_eq!(known_types(text, "10.0.0.1"), ["ssh-ed25519"]);
        assert_eq!(known_types(text, "192.168.1.61"), ["ssh-rsa"]);
        assert!(known_types(text, "other").is_empty());
    }
}
