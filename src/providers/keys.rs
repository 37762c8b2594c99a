//! Public SSH keys as clouds know them: found in the account by the key itself, named by its fingerprint.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::error::{Error, Result};
use super::http::Reason;

/// One public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    kind: String,
    blob: String,
}

impl Key {
    /// Reads an OpenSSH line (`ssh-ed25519 AAAA... comment`), also with options before it.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace().skip_while(|word| !is_kind(word));
        let (kind, blob) = (words.next()?, words.next()?);
        STANDARD.decode(blob).ok()?;
        Some(Key { kind: kind.to_owned(), blob: blob.to_owned() })
    }

    /// Whether an OpenSSH line is this key, whatever its comment.
    pub fn is(&self, line: &str) -> bool {
        Key::parse(line).as_ref() == Some(self)
    }

    /// As an OpenSSH line without a comment.
    pub fn line(&self) -> String {
        format!("{} {}", self.kind, self.blob)
    }

    /// `SHA256:...`, as `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> String {
        let blob = STANDARD.decode(&self.blob).unwrap_or_default();
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(blob)))
    }
}

fn is_kind(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"].iter().any(|start| word.starts_with(start))
}

/// What a key is called in the account when we import it: the same for the same key.
pub fn name_of(key: &Key) -> String {
    let short: String =
        key.fingerprint()["SHA256:".len()..].chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    format!("cloudtool-{short}")
}

/// What an account calls the wanted keys (OpenSSH lines), where those missing are imported. `list` gives what they are called and
/// their lines, `import` gives what it is called now.
///
/// Errors: of `list` and `import`; but a key that somebody else imports at the same moment is found.
pub fn in_account(
    wanted: &[String],
    list: impl Fn() -> Result<Vec<(Value, String)>>,
    import: impl Fn(&Key) -> Result<Value>,
) -> Result<Vec<Value>> {
    let wanted: Vec<Key> = wanted.iter().filter_map(|line| Key::parse(line)).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let find = |known: &[(Value, String)], key: &Key| {
        known.iter().find(|(_, line)| key.is(line)).map(|(called, _)| called.clone())
    };
    let known = list()?;
    let one = |key: &Key| match find(&known, key) {
        Some(called) => Ok(called),
        None => import(key).or_else(|error| match &error {
            Error::Refused(refusal) if matches!(refusal.reason, Reason::Conflict | Reason::Invalid) => {
                find(&list()?, key).ok_or(error)
            }
            _ => Err(error),
        }),
    };
    wanted.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::http::Refusal;
    use super::*;

    fn refused(reason: Reason) -> Error {
        Error::Refused(Box::new(Refusal {
            provider: "c".into(),
            request: "POST /keys".into(),
            status: 409,
            reason,
            code: String::new(),
            message: "there already".into(),
            credentials: String::new(),
        }))
    }

    #[test]
    fn a_missing_key_is_imported_and_one_imported_meanwhile_is_found() {
        let wanted = [LINE.to_owned(), "rubbish".to_owned()];
        let there = || Ok(vec![(Value::from(7), LINE.to_owned())]);
        let called = in_account(&wanted, there, |_| unreachable!("it is there")).unwrap();
        assert_eq!(called, [7]);
        assert_eq!(in_account(&wanted, || Ok(vec![]), |_| Ok(Value::from(8))).unwrap(), [8]);
        let lists = Cell::new(0);
        let late = || {
            lists.set(lists.get() + 1);
            if lists.get() == 1 { Ok(vec![]) } else { there() }
        };
        assert_eq!(in_account(&wanted, late, |_| Err(refused(Reason::Conflict))).unwrap(), [7]);
        assert!(in_account(&wanted, || Ok(vec![]), |_| Err(refused(Reason::Invalid))).is_err());
        assert!(in_account(&wanted, there, |_| unreachable!()).is_ok());
    }

    const LINE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4zbhLx9m1kyA7LDRe1bvLKmOdWHXmY9OcLkcL1fK0D me@x";

    #[test]
    fn a_key_is_itself_whatever_is_around_it() {
        let key = Key::parse(LINE).unwrap();
        assert!(key.is(&format!("no-pty {LINE} more")) && key.is(LINE.trim_end_matches(" me@x")));
        assert!(!key.is("ssh-ed25519 AAAA") && Key::parse("rubbish").is_none() && Key::parse("ssh-rsa ?").is_none());
        assert!(name_of(&key).starts_with("cloudtool-") && name_of(&key).len() == 22);
        assert!(key.fingerprint().starts_with("SHA256:"));
    }
}
