//! The state directory: `images/`, `nodes/NAME/` (`node.json`, `root/`, `console.log`), `locks/` and
//! `trash/`. All of it is root's.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::error::LocalError;

/// The default state directory; `CLOUDTOOL_LOCAL_DIR` names another one.
pub const DEFAULT_DIR: &str = "/var/lib/cloudtool-local";

/// `node.json`: what was decided when the node was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub name: String,
    pub image: String,
    pub size: String,
    /// Which of this machine's local networks it is on; see [`super::network`].
    pub network: u8,
    pub address: Ipv4Addr,
    /// The port of this machine's loopback that leads to its port 80.
    pub forwarded_port: u16,
    /// Its public host key, `ssh-ed25519 AAAA...`; empty until it is made.
    pub host_key: String,
    /// False while it is being made.
    pub complete: bool,
}

impl Record {
    /// The container's name: short enough that the network device named after it (`vb-...`) has at most 15 characters,
    /// and different for every node of this machine.
    pub fn machine(&self) -> String {
        format!("ct{}-{}", self.network, self.address.octets()[3])
    }
}

/// The state directory.
#[derive(Debug, Clone)]
pub struct StateDir {
    pub root: PathBuf,
}

/// A lock held until it is dropped; the kernel frees it when we die.
pub struct Lock {
    _file: File,
}

impl StateDir {
    pub fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    pub fn node(&self, name: &str) -> PathBuf {
        self.root.join("nodes").join(name)
    }

    /// Makes the directories that are missing, open to root alone.
    pub fn create(&self) -> Result<(), LocalError> {
        for dir in [self.images(), self.root.join("nodes"), self.root.join("locks")] {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700);
            builder.create(&dir).map_err(LocalError::io(format!("cannot make {}", dir.display())))?;
        }
        Ok(())
    }

    /// The names of all nodes, half-made ones too, sorted.
    pub fn names(&self) -> Result<Vec<String>, LocalError> {
        let dir = self.root.join("nodes");
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(LocalError::NeedsRoot),
            Err(source) => return Err(LocalError::Io { what: format!("cannot read {}", dir.display()), source }),
        };
        let mut names: Vec<_> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        Ok(names)
    }

    /// A node's record; `None` when there is no such node.
    pub fn record(&self, name: &str) -> Result<Option<Record>, LocalError> {
        let path = self.node(name).join("node.json");
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| LocalError::Record { path, reason: error.to_string() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.node(name).is_dir() {
                    let reason = "it was never written".into();
                    return Err(LocalError::Record { path, reason });
                }
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(LocalError::NeedsRoot),
            Err(source) => Err(LocalError::Io { what: format!("cannot read {}", path.display()), source }),
        }
    }

    /// The records of all nodes that have one that can be read.
    pub fn records(&self) -> Result<Vec<Record>, LocalError> {
        Ok(self.names()?.iter().filter_map(|name| self.record(name).ok().flatten()).collect())
    }

    /// Writes `node.json` by rename.
    pub fn write(&self, record: &Record) -> Result<(), LocalError> {
        let dir = self.node(&record.name);
        let path = dir.join("node.json");
        let new = dir.join("node.json.new");
        let write = || -> io::Result<()> {
            DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
            fs::write(&new, serde_json::to_string_pretty(record)?)?;
            fs::rename(&new, &path)
        };
        write().map_err(LocalError::io(format!("cannot write {}", path.display())))
    }

    /// The lock of one thing, waited for.
    pub fn lock(&self, what: &str) -> Result<Lock, LocalError> {
        lock_file(&self.lock_path(what))
    }

    /// True while somebody holds the lock.
    pub fn is_locked(&self, what: &str) -> bool {
        let Ok(file) = File::open(self.lock_path(what)) else { return false };
        flock(&file, FlockOperation::NonBlockingLockShared).is_err()
    }

    /// Takes a lock's file away; only by who holds it.
    pub fn forget_lock(&self, what: &str) {
        // A left-over file does no harm.
        let _ = fs::remove_file(self.lock_path(what));
    }

    fn lock_path(&self, what: &str) -> PathBuf {
        self.root.join("locks").join(what)
    }
}

/// The lock of what all state directories of this machine share: networks and ports.
pub fn lock_machine() -> Result<Lock, LocalError> {
    lock_file(Path::new("/run/cloudtool-local.lock"))
}

/// The lock that is a file, waited for.
pub fn lock_file(path: &Path) -> Result<Lock, LocalError> {
    let failed = || LocalError::io(format!("cannot lock {}", path.display()));
    loop {
        let file = File::options().create(true).truncate(false).write(true).open(path).map_err(failed())?;
        flock(&file, FlockOperation::LockExclusive).map_err(|errno| failed()(errno.into()))?;
        // Whoever held it before us may have taken the file away.
        let held = file.metadata().map_err(failed())?;
        if fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino())) {
            return Ok(Lock { _file: file });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str) -> Record {
        Record {
            name: name.into(),
            image: "debian-12".into(),
            size: "small".into(),
            network: 0,
            address: Ipv4Addr::new(198, 18, 77, 254),
            forwarded_port: 8080,
            host_key: String::new(),
            complete: false,
        }
    }

    #[test]
    fn records_are_kept_by_name() {
        let base = tempfile::tempdir().unwrap();
        let state = StateDir { root: base.path().join("state") };
        assert!(state.names().unwrap().is_empty());
        state.create().unwrap();
        state.write(&record("b")).unwrap();
        state.write(&record("a")).unwrap();
        assert_eq!(state.names().unwrap(), ["a", "b"]);
        assert_eq!(state.record("a").unwrap(), Some(record("a")));
        assert_eq!(state.record("c").unwrap(), None);
        fs::create_dir(state.node("half")).unwrap();
        assert!(matches!(state.record("half"), Err(LocalError::Record { .. })));
        assert_eq!(state.records().unwrap().len(), 2);
    }

    #[test]
    fn a_lock_is_exclusive_also_after_its_file_was_taken_away() {
        let base = tempfile::tempdir().unwrap();
        let state = StateDir { root: base.path().to_owned() };
        state.create().unwrap();
        let lock = state.lock("n").unwrap();
        assert!(state.is_locked("n"));
        let second = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| state.lock("n").unwrap());
            std::thread::sleep(std::time::Duration::from_millis(50));
            state.forget_lock("n");
            drop(lock);
            waiting.join().unwrap()
        });
        assert!(state.is_locked("n"));
        drop(second);
        assert!(!state.is_locked("n"));
    }

    #[test]
    fn device_names_fit() {
        assert!(format!("vb-{}", record("x").machine()).len() <= 15);
    }
}
