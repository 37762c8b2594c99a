//! What changes in an app's directory, as far as the app has to be started anew for it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use walkdir::WalkDir;

use super::place;
use crate::app::Rules;
use crate::error::{Failure, Kind};

/// What apps write beside their code while they run.
const DATA: [&str; 12] = [
    "db",
    "db-journal",
    "db-shm",
    "db-wal",
    "lock",
    "log",
    "pid",
    "sock",
    "sqlite",
    "sqlite3",
    "sqlite3-journal",
    "tmp",
];

/// Tells paths of files that have changed, for as long as it is held.
pub struct Watch {
    watcher: RecommendedWatcher,
    root: PathBuf,
    watched: BTreeSet<PathBuf>,
}

impl Watch {
    pub fn start(root: &Path, changed: Sender<PathBuf>) -> Result<Self, Failure> {
        let on_event = move |event: notify::Result<Event>| {
            let Ok(event) = event else { return };
            // Reading is no change.
            if !matches!(event.kind, EventKind::Access(_)) {
                for path in event.paths {
                    let _ = changed.send(path);
                }
            }
        };
        let watcher = notify::recommended_watcher(on_event).map_err(|error| failed(root, &error))?;
        let mut watch = Watch { watcher, root: root.to_owned(), watched: BTreeSet::new() };
        watch.look()?;
        Ok(watch)
    }

    /// Watches directories that have come.
    pub fn look(&mut self) -> Result<(), Failure> {
        let directories = directories(&self.root);
        self.watched.retain(|known| directories.contains(known));
        for directory in directories {
            if self.watched.contains(&directory) {
                continue;
            }
            match self.watcher.watch(&directory, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.watched.insert(directory)),
                // It has gone again.
                Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => {}
                Err(error) => return Err(failed(&directory, &error)),
            }
        }
        Ok(())
    }

    /// Those of the paths that the app is made of, relative to it: not what stays at home, what is only served, or what it writes.
    pub fn relevant(&self, paths: impl IntoIterator<Item = PathBuf>) -> BTreeSet<PathBuf> {
        paths.into_iter().filter_map(|path| relevant(&self.root, &path)).collect()
    }
}

/// Takes away what Python has compiled of changed files: it takes a file for the same when its length and the second of its change are.
pub fn forget_bytecode(root: &Path, changed: &BTreeSet<PathBuf>) {
    for path in changed.iter().filter(|path| path.extension().is_some_and(|ending| ending == "py")) {
        let path = root.join(path);
        let (Some(dir), Some(stem)) = (path.parent(), path.file_stem()) else { continue };
        let compiled = format!("{}.", stem.to_string_lossy());
        for entry in std::fs::read_dir(dir.join("__pycache__")).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&compiled) {
                // Who cannot write there has nothing compiled there either.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

fn relevant(root: &Path, path: &Path) -> Option<PathBuf> {
    let inner = path.strip_prefix(root).ok().filter(|inner| !inner.as_os_str().is_empty())?;
    let ending = inner.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    if inner.starts_with("static") || inner.starts_with(place::NAME) || DATA.contains(&ending.as_str()) {
        return None;
    }
    let mut rules = Rules::new(root).ok()?;
    let mut at = root.to_owned();
    let parts: Vec<_> = inner.components().collect();
    for (depth, part) in parts.iter().enumerate() {
        rules.enter(&at, depth).ok()?;
        at.push(part);
        let is_dir = depth + 1 < parts.len() || at.is_dir();
        if rules.leaves_out(&at, is_dir, depth + 1) {
            return None;
        }
    }
    Some(inner.to_owned())
}

/// The app's directories, but those that stay at home.
fn directories(root: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::from([root.to_owned()]);
    let Ok(mut rules) = Rules::new(root) else { return found };
    let _ = rules.enter(root, 0);
    let mut entries = WalkDir::new(root).min_depth(1).into_iter();
    while let Some(entry) = entries.next() {
        let Ok(entry) = entry else { continue };
        if !entry.file_type().is_dir() {
            continue;
        }
        let is_ours = entry.depth() == 1 && (entry.file_name() == place::NAME || entry.file_name() == "static");
        if is_ours || rules.leaves_out(entry.path(), true, entry.depth()) {
            entries.skip_current_dir();
            continue;
        }
        let _ = rules.enter(entry.path(), entry.depth());
        found.insert(entry.into_path());
    }
    found
}

fn failed(path: &Path, error: &notify::Error) -> Failure {
    let failure = Failure::new(Kind::Failed, format!("{} cannot be watched: {error}", path.display()));
    match error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            failure.hint("let more files be watched: sysctl fs.inotify.max_user_watches=524288; or list directories that are not the app's in .cloudtoolignore")
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytecode_of_changed_files_goes() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("lib/__pycache__")).unwrap();
        for name in ["a.cpython-311.pyc", "ab.cpython-311.pyc"] {
            std::fs::write(dir.path().join("lib/__pycache__").join(name), "").unwrap();
        }
        forget_bytecode(dir.path(), &BTreeSet::from(["lib/a.py", "b.py", "c.txt"].map(PathBuf::from)));
        let left: Vec<_> = std::fs::read_dir(dir.path().join("lib/__pycache__")).unwrap().flatten().collect();
        assert_eq!(left.iter().map(std::fs::DirEntry::file_name).collect::<Vec<_>>(), ["ab.cpython-311.pyc"]);
    }

    #[test]
    fn only_what_the_app_is_made_of_counts() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".gitignore"), "build/\n").unwrap();
        for (path, counts) in [
            ("app.py", true),
            ("app.ini", true),
            ("lib/page.html", true),
            ("static/a.css", false),
            (".cloudtool/files/x", false),
            (".git/index", false),
            ("lib/__pycache__/x.pyc", false),
            ("build/x.py", false),
            ("notes.sqlite3", false),
            ("notes.sqlite3-journal", false),
            ("app.py~", false),
            ("server.log", false),
        ] {
            assert_eq!(relevant(dir.path(), &dir.path().join(path)).is_some(), counts, "{path}");
        }
        assert_eq!(relevant(dir.path(), Path::new("/etc/passwd")), None);
    }
}
