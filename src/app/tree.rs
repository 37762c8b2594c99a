//! Walks an app's directory and hashes what travels.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use sha2::{Digest, Sha256};
use walkdir::{DirEntry, WalkDir};

use super::error::{Error, Unfit};
use super::ignore::Rules;
use super::manifest::{FileEntry, LinkEntry, Manifest, Mode};

/// Hashing reads in pieces of this size.
const BUFFER: usize = 256 << 10;
/// As many links as the kernel follows.
const MAX_LINKS: usize = 40;

/// Everything in `root` that travels.
///
/// Errors: [`Error::Unfit`] with every file that cannot travel (devices, links that leave the directory, names that are not
/// UTF-8, what cannot be read or changes meanwhile), [`Error::IgnoreFile`], [`Error::NotADirectory`].
pub fn scan(root: &Path) -> Result<Manifest, Error> {
    let root =
        root.canonicalize().ok().filter(|path| path.is_dir()).ok_or_else(|| Error::NotADirectory(root.to_owned()))?;
    let mut walk = Walk { found: Found::default(), unfit: Vec::new(), root: &root };
    walk.walk()?;
    let Walk { found, mut unfit, .. } = walk;
    let Found { plain, mut manifest } = found;
    let (files, unreadable) = hash_all(&root, plain);
    unfit.extend(unreadable);
    if !unfit.is_empty() {
        unfit.sort_by(|a, b| a.path.cmp(&b.path));
        return Err(Error::Unfit(unfit));
    }
    manifest.files = files;
    manifest.files.sort_by(|a, b| a.path.cmp(&b.path));
    manifest.links.sort_by(|a, b| a.path.cmp(&b.path));
    manifest.dirs.sort();
    Ok(manifest)
}

/// Opens a file that was a regular file a moment ago, and still is the same one.
pub(super) fn open_same(path: &Path, seen: &Metadata) -> io::Result<File> {
    let file = File::open(path)?;
    let now = file.metadata()?;
    if (now.dev(), now.ino()) == (seen.dev(), seen.ino()) {
        Ok(file)
    } else {
        Err(io::Error::other("it was replaced while it was read"))
    }
}

#[derive(Default)]
struct Found {
    /// Regular files, not hashed yet.
    plain: Vec<(String, Metadata)>,
    manifest: Manifest,
}

struct Walk<'a> {
    root: &'a Path,
    found: Found,
    unfit: Vec<Unfit>,
}

impl Walk<'_> {
    fn walk(&mut self) -> Result<(), Error> {
        let mut rules = Rules::new(self.root)?;
        rules.enter(self.root, 0)?;
        // Directories on the way down, and whether something in them travels.
        let mut open: Vec<(String, bool)> = Vec::new();
        let mut entries = WalkDir::new(self.root).min_depth(1).sort_by_file_name().into_iter();
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let path = error.path().unwrap_or(self.root).to_owned();
                    let why = error.into_io_error().map_or("is in a loop".to_owned(), |error| unreadable(&error));
                    self.refuse(&path, why);
                    continue;
                }
            };
            let depth = entry.depth();
            let is_dir = entry.file_type().is_dir();
            if rules.leaves_out(entry.path(), is_dir, depth) {
                if is_dir {
                    entries.skip_current_dir();
                }
                continue;
            }
            self.close(&mut open, depth - 1);
            if let Some(parent) = open.last_mut() {
                parent.1 = true;
            }
            let Some(path) = self.relative(entry.path()) else {
                self.refuse(entry.path(), "has a name that is not UTF-8".to_owned());
                if is_dir {
                    entries.skip_current_dir();
                }
                continue;
            };
            if is_dir {
                open.push((path, false));
                rules.enter(entry.path(), depth)?;
            } else if let Err(why) = self.take(path, &entry) {
                self.refuse(entry.path(), why);
            }
        }
        self.close(&mut open, 0);
        Ok(())
    }

    /// Ends the directories below `depth`: those without anything that travels are kept as empty ones.
    fn close(&mut self, open: &mut Vec<(String, bool)>, depth: usize) {
        for (path, filled) in open.drain(depth..).rev() {
            if !filled {
                self.found.manifest.dirs.push(path);
            }
        }
    }

    /// Takes up a file or link, or says why it cannot travel.
    fn take(&mut self, path: String, entry: &DirEntry) -> Result<(), String> {
        let kind = entry.file_type();
        if kind.is_symlink() {
            let target = std::fs::read_link(entry.path()).map_err(|error| unreadable(&error))?;
            let target = target.to_str().ok_or("is a link whose target is not UTF-8")?.to_owned();
            check_link(self.root, &path, &target)?;
            self.found.manifest.links.push(LinkEntry { path, target });
            return Ok(());
        }
        if !kind.is_file() {
            let what = match kind {
                kind if kind.is_fifo() => "a named pipe",
                kind if kind.is_socket() => "a socket",
                kind if kind.is_block_device() || kind.is_char_device() => "a device",
                _ => "no file",
            };
            return Err(format!("is {what}: only files, directories and links travel"));
        }
        let metadata = entry.metadata().map_err(|error| unreadable(&error.into()))?;
        self.found.plain.push((path, metadata));
        Ok(())
    }

    fn relative(&self, path: &Path) -> Option<String> {
        path.strip_prefix(self.root).ok()?.to_str().map(str::to_owned)
    }

    fn refuse(&mut self, path: &Path, why: String) {
        let path = path.strip_prefix(self.root).unwrap_or(path).to_string_lossy().into_owned();
        self.unfit.push(Unfit { path, why });
    }
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "vanished while the directory was read".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

/// A link travels as it is, so its target must be relative and stay inside, both as it is written and as the kernel walks it.
fn check_link(root: &Path, path: &str, target: &str) -> Result<(), String> {
    if target.starts_with('/') {
        return Err(format!("is a link to the absolute path {target:?}: make it relative, or copy what it points to"));
    }
    let leaves = || format!("is a link that leaves the app, to {target:?}: copy what it points to");
    let mut depth = Path::new(path).components().count() as i64 - 1;
    for component in Path::new(target).components() {
        depth += match component {
            Component::ParentDir => -1,
            Component::Normal(_) => 1,
            _ => 0,
        };
        if depth < 0 {
            return Err(leaves());
        }
    }
    if stays_inside(root, path, target) { Ok(()) } else { Err(leaves()) }
}

/// Follows the target component by component, through other links, also where it ends at nothing.
fn stays_inside(root: &Path, path: &str, target: &str) -> bool {
    let mut at: PathBuf = Path::new(path).parent().unwrap_or(Path::new("")).to_owned();
    let mut todo: Vec<PathBuf> = parts(Path::new(target));
    let mut links = 0;
    while let Some(part) = todo.pop() {
        if part == Path::new("..") {
            if !at.pop() {
                return false;
            }
            continue;
        }
        at.push(&part);
        let Ok(next) = std::fs::read_link(root.join(&at)) else { continue };
        links += 1;
        if next.is_absolute() {
            return false;
        }
        if links > MAX_LINKS {
            // The kernel goes no further either.
            return true;
        }
        at.pop();
        todo.extend(parts(&next));
    }
    true
}

/// The components of a relative path, last first.
fn parts(path: &Path) -> Vec<PathBuf> {
    let named = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    named.map(|part| PathBuf::from(part.as_os_str())).rev().collect()
}

/// Hashes on all cores, files handed out one by one.
fn hash_all(root: &Path, files: Vec<(String, Metadata)>) -> (Vec<FileEntry>, Vec<Unfit>) {
    let threads = thread::available_parallelism().map_or(2, usize::from).clamp(2, 8).min(files.len().max(1));
    let next = AtomicUsize::new(0);
    let work = || {
        let mut buffer = vec![0; BUFFER];
        let mut done = Vec::new();
        while let Some((path, metadata)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let hashed = hash(&root.join(path), metadata, &mut buffer);
            done.push(hashed.map_err(|error| Unfit { path: path.clone(), why: unreadable(&error) }).map(|sha256| {
                let mode = if metadata.mode() & 0o111 == 0 { Mode::Plain } else { Mode::Executable };
                FileEntry { path: path.clone(), mode, size: metadata.len(), sha256 }
            }));
        }
        done
    };
    let results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let (mut hashed, mut unfit) = (Vec::with_capacity(results.len()), Vec::new());
    for result in results {
        match result {
            Ok(file) => hashed.push(file),
            Err(file) => unfit.push(file),
        }
    }
    (hashed, unfit)
}

fn hash(path: &Path, metadata: &Metadata, buffer: &mut [u8]) -> io::Result<String> {
    let mut file = open_same(path, metadata)?;
    let mut hasher = Sha256::new();
    let mut size = 0;
    loop {
        let read = match file.read(buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        size += read as u64;
        hasher.update(&buffer[..read]);
    }
    if size != metadata.len() {
        return Err(io::Error::other("it changed while it was read"));
    }
    Ok(hex::encode(hasher.finalize()))
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
