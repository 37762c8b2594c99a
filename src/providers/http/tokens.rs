//! Tokens kept between runs: an API that trades credentials for a token is asked for one only when the last has run out.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::names::Secret;

/// A token about to run out would run out under way.
const MARGIN: Duration = Duration::from_secs(60);

/// A token and what came with it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Token {
    /// Must not be shown.
    pub token: String,
    /// Seconds since 1970.
    pub expires: u64,
    /// What else the API said and the driver needs again: a service catalogue.
    pub extra: Value,
}

impl Token {
    pub fn secret(&self) -> Secret {
        Secret::new(self.token.clone())
    }

    /// Whether it holds for a while.
    pub fn is_fresh(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.expires > (now + MARGIN).as_secs()
    }
}

/// Where tokens are kept: a directory of files that only the user can read. Not being able to keep one is no failure.
#[derive(Debug, Clone, Default)]
pub struct Tokens {
    dir: Option<PathBuf>,
}

impl Tokens {
    /// `None`: nothing is kept.
    pub fn in_dir(dir: Option<PathBuf>) -> Self {
        Tokens { dir }
    }

    /// The drawer of one account: whatever makes it another account (address, user, secret, project) is in `account`.
    pub fn of(&self, account: &[&str]) -> Drawer {
        let mut hash = Sha256::new();
        for part in account {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        Drawer { file: self.dir.as_ref().map(|dir| dir.join(hex::encode(hash.finalize()))) }
    }
}

/// Where the token of one account is.
#[derive(Debug, Clone)]
pub struct Drawer {
    file: Option<PathBuf>,
}

impl Drawer {
    /// The kept token, if it holds for a while.
    pub fn get(&self) -> Option<Token> {
        let text = fs::read(self.file.as_ref()?).ok()?;
        let token: Token = serde_json::from_slice(&text).ok()?;
        token.is_fresh().then_some(token)
    }

    pub fn put(&self, token: &Token) {
        let Some(file) = &self.file else { return };
        let Some(dir) = file.parent() else { return };
        let keep = || -> std::io::Result<()> {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
            // Complete or not at all, also for another process that reads it now.
            let mut fresh = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o600)).tempfile_in(dir)?;
            fresh.write_all(&serde_json::to_vec(token)?)?;
            fresh.persist(file)?;
            Ok(())
        };
        if let Err(error) = keep() {
            tracing::debug!("the token is not kept: {error}");
        }
    }

    pub fn forget(&self) {
        if let Some(file) = &self.file {
            let _ = fs::remove_file(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(seconds_left: u64) -> Token {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        Token { token: "t".into(), expires: now + seconds_left, extra: Value::Null }
    }

    #[test]
    fn a_token_is_kept_until_it_runs_out() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::in_dir(Some(dir.path().join("tokens")));
        let drawer = tokens.of(&["https://a/", "me", "secret"]);
        assert!(drawer.get().is_none());
        drawer.put(&token(3600));
        assert_eq!(drawer.get().unwrap().token, "t");
        assert!(tokens.of(&["https://a/", "me", "other"]).get().is_none());
        let file = drawer.file.clone().unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drawer.put(&token(30));
        assert!(drawer.get().is_none());
        fs::write(&file, "{").unwrap();
        assert!(drawer.get().is_none());
        drawer.forget();
        assert!(!file.exists());
    }

    #[test]
    fn nothing_is_kept_without_a_place() {
        let drawer = Tokens::default().of(&["a"]);
        drawer.put(&token(3600));
        assert!(drawer.get().is_none());
    }
}
