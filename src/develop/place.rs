//! What is kept beside an app on a developer's machine: the directory `.cloudtool` in it, which never travels.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Failure, Kind};

pub const NAME: &str = ".cloudtool";
/// Others may pass through: a server of a service may be another user's. What is in there is closed itself.
const PASSABLE: u32 = 0o711;
const PRIVATE: u32 = 0o700;

/// The app's directory, and where its data, logs and secret are.
#[derive(Debug, Clone)]
pub struct Place {
    pub dir: PathBuf,
    own: PathBuf,
}

impl Place {
    /// Makes what is missing.
    pub fn open(dir: &Path) -> Result<Self, Failure> {
        let failed = |path: &Path, error: &io::Error| {
            Failure::new(Kind::Usage, format!("{} cannot be used: {error}", path.display()))
        };
        let dir = dir.canonicalize().map_err(|error| failed(dir, &error))?;
        let own = dir.join(NAME);
        let place = Place { own: own.clone(), dir };
        make(&own, PASSABLE)
            .and_then(|()| make(&place.logs(), PRIVATE))
            .and_then(|()| keep(&own.join(".gitignore"), || "*\n".to_owned()))
            .and_then(|()| keep(&place.secret(), secret))
            .map_err(|error| failed(&own, &error))?;
        Ok(place)
    }

    /// Where a service keeps the app's data; made, and closed to others.
    pub fn share(&self, service: &str) -> Result<PathBuf, Failure> {
        let path = self.own.join(service);
        make(&path, PRIVATE)
            .map_err(|error| Failure::new(Kind::Failed, format!("{} cannot be made: {error}", path.display())))?;
        Ok(path)
    }

    pub fn logs(&self) -> PathBuf {
        self.own.join("logs")
    }

    /// The file of the app's stable secret.
    pub fn secret(&self) -> PathBuf {
        self.own.join("secret")
    }

    /// Held by whoever runs the app's services.
    pub fn lock(&self) -> PathBuf {
        self.own.join("services.lock")
    }

    /// What the app's services have given last.
    pub fn variables(&self) -> PathBuf {
        self.own.join("services.json")
    }
}

fn make(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

/// Writes a file that only its owner reads, unless it is there.
fn keep(path: &Path, content: impl Fn() -> String) -> io::Result<()> {
    if path.exists() { Ok(()) } else { write_private(path, &content()) }
}

/// Puts a file there whole.
pub fn write_private(path: &Path, content: &str) -> io::Result<()> {
    let new = path.with_extension(format!("new-{}", std::process::id()));
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?.write_all(content.as_bytes())?;
    fs::rename(new, path)
}

/// As a node makes them: 48 hex digits.
fn secret() -> String {
    let mut bytes = [0; 24];
    // It only fails where a machine has no randomness at all, and then TLS would not work either.
    openssl::rand::rand_bytes(&mut bytes).unwrap_or_else(|error| panic!("this machine has no randomness: {error}"));
    hex::encode(bytes)
}
