//! Public SSH keys as clouds know them: found in the account by the key itself, named by its fingerprint.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

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

#[cfg(test)]
mod tests {
    use super::*;

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
