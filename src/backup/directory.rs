//! A directory of this machine as a store: `DIR/APP/OBJECT`, each object written beside its name and then renamed.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::node::Store;

/// Only its user reads it: backups hold what apps keep to themselves.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    /// The object that is being written, or read.
    open: Option<(PathBuf, File)>,
}

impl Directory {
    /// `root` need not be there yet.
    pub fn new(root: &Path) -> Self {
        Directory { root: root.to_owned(), open: None }
    }

    fn path(&self, app: &str, name: &str) -> PathBuf {
        self.root.join(app).join(name)
    }

    fn partial(&self, app: &str, name: &str) -> PathBuf {
        self.root.join(app).join(format!(".{name}.partial"))
    }

    /// The open file at `path`, or what `open` opens.
    fn file(&mut self, path: PathBuf, open: impl FnOnce(&Path) -> io::Result<File>) -> io::Result<&mut File> {
        if self.open.as_ref().is_none_or(|(known, _)| *known != path) {
            let file = open(&path).map_err(|error| named(&path, &error))?;
            self.open = Some((path, file));
        }
        // Just set, where it was not.
        self.open.as_mut().map(|(_, file)| file).ok_or_else(|| io::Error::other("nothing is open"))
    }
}

/// The same error with the path in front, for it is told by a node that does not know it.
fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

impl Store for Directory {
    fn list(&mut self, app: &str) -> io::Result<BTreeMap<String, u64>> {
        let entries = match fs::read_dir(self.root.join(app)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(named(&self.root.join(app), &error)),
        };
        let mut objects = BTreeMap::new();
        for entry in entries {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string()
                && !name.starts_with('.')
            {
                objects.insert(name, entry.metadata()?.len());
            }
        }
        Ok(objects)
    }

    fn read(&mut self, app: &str, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let path = self.path(app, name);
        let file = self.file(path, |path| File::open(path))?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::with_capacity(length);
        file.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn write(&mut self, app: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
        let dir = self.root.join(app);
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(|error| named(&dir, &error))?;
        let path = self.partial(app, name);
        let create = |path: &Path| OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        self.file(path.clone(), create)?.write_all(bytes).map_err(|error| named(&path, &error))
    }

    fn commit(&mut self, app: &str, name: &str) -> io::Result<()> {
        let partial = self.partial(app, name);
        match self.open.take() {
            Some((path, file)) if path == partial => file.sync_all()?,
            _ => return Err(io::Error::other(format!("{name} was not written"))),
        }
        fs::rename(&partial, self.path(app, name))?;
        File::open(self.root.join(app))?.sync_all()
    }

    fn delete(&mut self, app: &str, name: &str) -> io::Result<()> {
        self.open = None;
        match fs::remove_file(self.path(app, name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sweep(&mut self, app: &str) -> io::Result<()> {
        for entry in fs::read_dir(self.root.join(app))? {
            let entry = entry?;
            if is_abandoned(&entry)? {
                fs::remove_file(entry.path()).map_err(|error| named(&entry.path(), &error))?;
            }
        }
        Ok(())
    }
}

/// Nobody writes to one file for longer.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Whether a file of a store is what a killed client had begun to write.
fn is_abandoned(entry: &fs::DirEntry) -> io::Result<bool> {
    let name = entry.file_name();
    let begun = name.to_str().is_some_and(|name| name.starts_with('.') && name.ends_with(".partial"));
    // One that was changed in the future was changed now.
    Ok(begun && entry.metadata()?.modified()?.elapsed().is_ok_and(|age| age > ABANDONED))
}

impl Drop for Directory {
    /// What was not committed is nothing.
    fn drop(&mut self) {
        if let Some((path, _)) = &self.open
            && path.extension().is_some_and(|extension| extension == "partial")
        {
            // Where this fails, the file is never listed, and the next write of that name begins anew.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_there_once_it_is_committed() {
        let place = tempfile::tempdir().unwrap();
        let mut store = Directory::new(&place.path().join("new"));
        assert!(store.list("shop").unwrap().is_empty());
        store.write("shop", "a.zst", b"hello ").unwrap();
        store.write("shop", "a.zst", b"world").unwrap();
        assert!(store.list("shop").unwrap().is_empty());
        store.commit("shop", "a.zst").unwrap();
        assert_eq!(store.list("shop").unwrap(), BTreeMap::from([("a.zst".to_owned(), 11)]));
        assert_eq!(store.read("shop", "a.zst", 6, 100).unwrap(), b"world");
        store.delete("shop", "a.zst").unwrap();
        store.delete("shop", "a.zst").unwrap();
        assert!(store.list("shop").unwrap().is_empty());
    }

    #[test]
    fn what_was_not_committed_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let mut store = Directory::new(place.path());
        store.write("shop", "a.zst", b"half").unwrap();
        drop(store);
        assert_eq!(fs::read_dir(place.path().join("shop")).unwrap().count(), 0);
    }

    #[test]
    fn only_what_is_abandoned_is_swept() {
        let place = tempfile::tempdir().unwrap();
        let mut store = Directory::new(place.path());
        store.write("shop", "a.zst", b"whole").unwrap();
        store.commit("shop", "a.zst").unwrap();
        let old = std::time::SystemTime::now() - ABANDONED - Duration::from_secs(60);
        for (name, time) in [("a.zst", old), (".b.zst.partial", old), (".c.zst.partial", std::time::SystemTime::now())]
        {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(place.path().join("shop").join(name))
                .unwrap();
            file.set_modified(time).unwrap();
        }
        store.sweep("shop").unwrap();
        let mut left: Vec<_> =
            fs::read_dir(place.path().join("shop")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".c.zst.partial", "a.zst"]);
    }

    #[test]
    fn only_the_user_reads_backups() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        let mut store = Directory::new(&place.path().join("b"));
        store.write("shop", "a.zst", b"x").unwrap();
        store.commit("shop", "a.zst").unwrap();
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(place.path().join("b/shop")), 0o700);
        assert_eq!(mode(place.path().join("b/shop/a.zst")), 0o600);
    }
}
