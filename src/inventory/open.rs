//! Opening the database: where it is, its tables and their versions, and what happens when it is damaged.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use rustix::fs::{FlockOperation, flock};

use super::error::{Error, Result};

/// One step a version: the database's `user_version` says how many have been done. Only ever append.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE nodes (
        provider  TEXT NOT NULL,
        id        TEXT NOT NULL,
        name      TEXT NOT NULL,
        address   TEXT,
        port      INTEGER NOT NULL,
        user      TEXT,
        identity  TEXT,
        host_keys TEXT NOT NULL,  -- a JSON array of OpenSSH lines
        answer    TEXT NOT NULL,  -- the API's answer, JSON
        updated   TEXT NOT NULL,
        PRIMARY KEY (provider, id)
    ) STRICT;
    CREATE INDEX nodes_name ON nodes (name);
    CREATE TABLE locations (
        location TEXT NOT NULL,
        provider TEXT NOT NULL,
        node_id  TEXT NOT NULL,
        app      TEXT NOT NULL,
        PRIMARY KEY (location, provider, node_id),
        FOREIGN KEY (provider, node_id) REFERENCES nodes (provider, id) ON DELETE CASCADE
    ) STRICT;
    CREATE TABLE settings (
        name  TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT;
    CREATE TABLE events (
        id     INTEGER PRIMARY KEY,
        at     TEXT NOT NULL,     -- UTC, YYYY-MM-DDTHH:MM:SSZ
        by     TEXT NOT NULL,     -- user@host
        verb   TEXT NOT NULL,
        node   TEXT,
        app    TEXT,
        result TEXT NOT NULL,
        detail TEXT
    ) STRICT;
    CREATE INDEX events_at ON events (at);
",
    "
    -- As the provider listed it last.
    ALTER TABLE nodes ADD COLUMN state TEXT NOT NULL DEFAULT 'unknown';
    ALTER TABLE nodes ADD COLUMN public_ips TEXT NOT NULL DEFAULT '[]';   -- JSON arrays
    ALTER TABLE nodes ADD COLUMN private_ips TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE nodes ADD COLUMN image TEXT;
    ALTER TABLE nodes ADD COLUMN size TEXT;
    ALTER TABLE nodes ADD COLUMN location TEXT;
    -- Nodes from before were logged in to, behind keys of their own.
    ALTER TABLE nodes ADD COLUMN met INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE nodes ADD COLUMN key_made_here INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE labels (
        label    TEXT NOT NULL,
        provider TEXT NOT NULL,
        node_id  TEXT NOT NULL,
        PRIMARY KEY (label, provider, node_id),
        FOREIGN KEY (provider, node_id) REFERENCES nodes (provider, id) ON DELETE CASCADE
    ) STRICT;
",
];

/// How long to wait for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The open inventory. One a thread: it is not shared.
pub struct Inventory {
    pub(super) db: Connection,
    path: PathBuf,
}

/// A warning: the database could not be read, was set aside, and a new one was begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the inventory was damaged ({reason}); it is kept as {}, and a new one was begun", .kept.display())]
pub struct Damaged {
    pub kept: PathBuf,
    pub reason: String,
}

impl Inventory {
    /// `CLOUDTOOL_DATA_DIR`, or `cloudtool` in the user's XDG data directory.
    pub fn default_dir() -> Result<PathBuf> {
        match std::env::var_os("CLOUDTOOL_DATA_DIR").filter(|dir| !dir.is_empty()) {
            Some(dir) => Ok(dir.into()),
            None => Ok(dirs::data_dir().ok_or(Error::NoDirectory)?.join("cloudtool")),
        }
    }

    /// The same directory, which is made (0700) when it is missing.
    pub fn own_dir() -> Result<PathBuf> {
        let dir = Self::default_dir()?;
        make_private(&dir)?;
        Ok(dir)
    }

    /// Opens `inventory.db` in [`Inventory::default_dir`]; see [`Inventory::open_in`].
    pub fn open() -> Result<(Self, Option<Damaged>)> {
        Self::open_in(&Self::default_dir()?)
    }

    /// Opens `inventory.db` in `dir`, which is made (0700) when it is missing. A damaged file is renamed to
    /// `inventory.db.damaged-TIME`: the second value then says so.
    pub fn open_in(dir: &Path) -> Result<(Self, Option<Damaged>)> {
        make_private(dir)?;
        // Opening is serialised, so that two processes neither migrate twice nor set a fresh file aside.
        let lock_path = dir.join("inventory.lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(|source| Error::File { path: lock_path.clone(), source })?;
        flock(&lock, FlockOperation::LockExclusive)
            .map_err(|errno| Error::File { path: lock_path, source: errno.into() })?;

        let path = dir.join("inventory.db");
        match connect(&path) {
            Ok(db) => Ok((Inventory { db, path }, None)),
            Err(Error::Database { source, .. }) if is_damage(&source) => {
                let kept = set_aside(&path)?;
                let damaged = Damaged { kept, reason: source.to_string() };
                Ok((Inventory { db: connect(&path)?, path }, Some(damaged)))
            }
            Err(error) => Err(error),
        }
    }

    /// The default node's name.
    pub fn default_node(&self) -> Result<Option<String>> {
        let mut query = self.sql(self.db.prepare_cached("SELECT value FROM settings WHERE name = 'default_node'"))?;
        let mut rows = self.sql(query.query_map([], |row| row.get(0)))?;
        rows.next().map(|value| self.sql(value)).transpose()
    }

    /// Sets the default node, or with `None` takes the setting away. The name is not checked against the nodes.
    pub fn set_default_node(&self, name: Option<&str>) -> Result<()> {
        self.sql(match name {
            Some(name) => self.db.execute(
                "INSERT INTO settings (name, value) VALUES ('default_node', ?1)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [name],
            ),
            None => self.db.execute("DELETE FROM settings WHERE name = 'default_node'", []),
        })?;
        Ok(())
    }

    /// Names the file in an error of SQLite's.
    pub(super) fn sql<T>(&self, result: rusqlite::Result<T>) -> Result<T> {
        result.map_err(self.path_error())
    }

    /// The same for transactions, which borrow the connection.
    pub(super) fn path_error(&self) -> impl Fn(rusqlite::Error) -> Error + use<> {
        let path = self.path.clone();
        move |source| Error::Database { path: path.clone(), source }
    }
}

fn make_private(dir: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| Error::File { path: dir.to_owned(), source })
}

fn connect(path: &Path) -> Result<Connection> {
    let damage = |source| Error::Database { path: path.to_owned(), source };
    let mut db = Connection::open(path).map_err(damage)?;
    db.busy_timeout(BUSY_TIMEOUT).map_err(damage)?;
    db.pragma_update(None, "journal_mode", "wal").map_err(damage)?;
    db.pragma_update(None, "synchronous", "normal").map_err(damage)?;
    db.pragma_update(None, "foreign_keys", true).map_err(damage)?;
    let verdict: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(damage)?;
    if verdict != "ok" {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(damage(rusqlite::Error::SqliteFailure(code, Some(verdict))));
    }

    let known = MIGRATIONS.len() as i64;
    let found: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(damage)?;
    if found > known {
        return Err(Error::TooNew { path: path.to_owned(), found, known });
    }
    if found == known {
        // Without a transaction, which would wait for the disk, and for others that write.
        return Ok(db);
    }
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(damage)?;
    for step in &MIGRATIONS[found.max(0) as usize..] {
        change.execute_batch(step).map_err(damage)?;
    }
    change.pragma_update(None, "user_version", known).map_err(damage)?;
    change.commit().map_err(damage)?;
    Ok(db)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Renames the database; its journal files belong to it and go with it.
fn set_aside(path: &Path) -> Result<PathBuf> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let mut kept = beside(&format!(".damaged-{seconds}"));
    for n in 2.. {
        if !kept.exists() {
            break;
        }
        kept = beside(&format!(".damaged-{seconds}-{n}"));
    }
    fs::rename(path, &kept).map_err(|source| Error::File { path: path.to_owned(), source })?;
    for suffix in ["-wal", "-shm"] {
        let journal = beside(suffix);
        if journal.exists() {
            fs::remove_file(&journal).map_err(|source| Error::File { path: journal, source })?;
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::{NewEvent, NodeRecord};
    use super::*;

    #[test]
    fn the_directory_is_private() {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("a/b");
        Inventory::open_in(&dir).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn the_default_node_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let (inventory, _) = Inventory::open_in(dir.path()).unwrap();
        assert_eq!(inventory.default_node().unwrap(), None);
        inventory.set_default_node(Some("demo")).unwrap();
        inventory.set_default_node(Some("prod")).unwrap();
        drop(inventory);
        let (inventory, damaged) = Inventory::open_in(dir.path()).unwrap();
        assert_eq!((inventory.default_node().unwrap().as_deref(), damaged), (Some("prod"), None));
        inventory.set_default_node(None).unwrap();
        assert_eq!(inventory.default_node().unwrap(), None);
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        for garbage in [&b"this is not a database, not at all"[..], &[0xff; 8192]] {
            fs::write(dir.path().join("inventory.db"), garbage).unwrap();
            let (inventory, damaged) = Inventory::open_in(dir.path()).unwrap();
            let damaged = damaged.expect("a warning");
            assert_eq!(fs::read(&damaged.kept).unwrap(), garbage);
            assert!(damaged.to_string().contains("inventory.db.damaged-"), "{damaged}");
            inventory.set_default_node(Some("x")).unwrap();
        }
    }

    #[test]
    fn damage_within_the_file_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("inventory.db");
        let (inventory, _) = Inventory::open_in(dir.path()).unwrap();
        for n in 0..500 {
            let id = n.to_string();
            let record = NodeRecord { provider: "p".into(), name: id.clone(), id, ..NodeRecord::default() };
            inventory.upsert_node(&record).unwrap();
        }
        drop(inventory);
        let mut bytes = fs::read(&path).unwrap();
        let half = bytes.len() / 2;
        bytes[half..half + 8192].fill(0x5a);
        fs::write(&path, bytes).unwrap();
        let (inventory, damaged) = Inventory::open_in(dir.path()).unwrap();
        assert!(damaged.is_some());
        assert!(inventory.nodes().unwrap().is_empty());
    }

    #[test]
    fn a_newer_file_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (inventory, _) = Inventory::open_in(dir.path()).unwrap();
        inventory.db.pragma_update(None, "user_version", 99).unwrap();
        drop(inventory);
        assert!(matches!(Inventory::open_in(dir.path()), Err(Error::TooNew { found: 99, .. })));
    }

    #[test]
    fn opening_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (writing, _) = Inventory::open_in(dir.path()).unwrap();
        writing.db.execute_batch("BEGIN IMMEDIATE").unwrap();
        // Would wait, and then fail.
        Inventory::open_in(dir.path()).unwrap();
    }

    #[test]
    fn two_connections_write_at_once() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let dir = dir.path();
                scope.spawn(move || {
                    for n in 0..25 {
                        let (inventory, damaged) = Inventory::open_in(dir).unwrap();
                        assert_eq!(damaged, None);
                        let event =
                            NewEvent { by: &format!("t{thread}"), verb: "test", result: "ok", ..NewEvent::default() };
                        inventory.record_event(&event).unwrap();
                        let record = NodeRecord {
                            provider: "p".into(),
                            id: n.to_string(),
                            name: "n".into(),
                            ..NodeRecord::default()
                        };
                        inventory.upsert_node(&record).unwrap();
                    }
                });
            }
        });
        let (inventory, _) = Inventory::open_in(dir.path()).unwrap();
        assert_eq!(inventory.events(1000).unwrap().len(), 100);
        assert_eq!(inventory.nodes().unwrap().len(), 25);
    }
}
