//! The words of a command that name files of this machine, and sending those.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tar::Builder;

use crate::error::{Failure, Kind};
use crate::ui::Ui;

/// A word, or what follows its first `=`, that names a file or directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Upload {
    /// Which word it is.
    word: usize,
    /// What precedes the path: `--file=`.
    prefix: String,
    /// What it is called, without the directories it is in.
    name: String,
    #[serde(skip)]
    path: PathBuf,
}

/// What both machines have: an absolute path in there means the node's.
const SYSTEM: [&str; 11] =
    ["/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/sbin", "/sys", "/usr"];

/// The files that the words of a command name; the first word is the command itself. A directory that this program runs in is not
/// meant: `.` and `/` are there on the node, too.
pub(super) fn find(words: &[String], current: &Path) -> Vec<Upload> {
    let mut found = Vec::new();
    for (word, text) in words.iter().enumerate().skip(1) {
        let value = text.split_once('=').map(|(option, value)| (format!("{option}="), value));
        for (prefix, value) in std::iter::once((String::new(), text.as_str())).chain(value) {
            if let Some((path, name)) = named(value, current) {
                found.push(Upload { word, prefix, name, path });
                break;
            }
        }
    }
    found
}

/// Where this program runs.
pub(super) fn current_directory() -> Result<PathBuf, Failure> {
    std::env::current_dir()
        .and_then(|path| path.canonicalize())
        .map_err(|error| Failure::new(Kind::Usage, format!("the current directory cannot be read: {error}")))
}

/// The words for a command that runs in the directory `app` of this machine: files that it does not have itself are named by their
/// whole path.
pub(super) fn in_place(words: &[String], current: &Path, app: &Path) -> Vec<String> {
    let mut words = words.to_vec();
    for Upload { word, prefix, path, .. } in find(&words, current) {
        let value = words[word].strip_prefix(&prefix).unwrap_or_default();
        if !app.join(value).exists() {
            words[word] = format!("{prefix}{}", path.display());
        }
    }
    words
}

fn named(value: &str, current: &Path) -> Option<(PathBuf, String)> {
    if value.is_empty() || SYSTEM.iter().any(|directory| Path::new(value).starts_with(directory)) {
        return None;
    }
    let path = current.join(value).canonicalize().ok()?;
    let meant = path.is_file() || path.is_dir() && !current.starts_with(&path);
    // A link is sent under its own name, where it has one.
    let name = Path::new(value).file_name().or_else(|| path.file_name())?.to_str()?.to_owned();
    meant.then_some((path, name))
}

/// Writes a tar of those that are wanted, each below its number, and says so. Links are followed.
pub(super) fn send(uploads: &[Upload], wanted: &[usize], ui: &Ui, writer: &mut dyn Write) -> std::io::Result<()> {
    let mut archive = Builder::new(writer);
    for number in wanted {
        let Some(upload) = uploads.get(*number) else { continue };
        ui.say(format!("sending {}", upload.path.display()));
        let name = format!("{number}/{}", upload.name);
        if upload.path.is_dir() {
            archive.append_dir_all(name, &upload.path)?;
        } else {
            archive.append_path_with_name(&upload.path, name)?;
        }
    }
    archive.into_inner()?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_name_files_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().canonicalize().unwrap();
        std::fs::create_dir(here.join("photos")).unwrap();
        for file in ["dump.json", "load", "photos/a b.jpg", "x=y"] {
            std::fs::write(here.join(file), file).unwrap();
        }
        let absolute = here.join("dump.json").display().to_string();
        let found = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            find(&words, &here)
                .into_iter()
                .map(|upload| format!("{} {}{}", upload.word, upload.prefix, upload.name))
                .collect::<Vec<_>>()
        };
        assert_eq!(found(&["load", "dump.json", "-v", "", "--to=x"]), ["1 dump.json"]);
        assert_eq!(
            found(&["load", "--file=dump.json", &absolute, "x=y"]),
            ["1 --file=dump.json", "2 dump.json", "3 x=y"]
        );
        assert_eq!(found(&["load", "photos/", "photos/a b.jpg", "./load"]), ["1 photos", "2 a b.jpg", "3 load"]);
        assert_eq!(found(&["cat", "/etc/passwd", "/proc/self/cgroup", "--as=/etc/passwd"]), Vec::<String>::new());
        assert_eq!(found(&["ls", ".", "..", "/", "nothing.json", "--root=."]), Vec::<String>::new());
    }

    #[test]
    fn on_this_machine_files_are_named_by_their_whole_path() {
        let (here, app) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (dir, file) in [(&here, "dump.json"), (&here, "both"), (&app, "both")] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        let words = ["load", "dump.json", "--from=dump.json", "both", "-v"].map(str::to_owned);
        let current = here.path().canonicalize().unwrap();
        let whole = current.join("dump.json").display().to_string();
        let expected = ["load", &whole, &format!("--from={whole}"), "both", "-v"];
        assert_eq!(in_place(&words, &current, app.path()), expected);
    }

    #[test]
    fn only_what_is_wanted_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().canonicalize().unwrap();
        for file in ["one", "two"] {
            std::fs::write(here.join(file), file).unwrap();
        }
        let words: Vec<String> = ["cat", "one", "two"].map(str::to_owned).to_vec();
        let mut tar = Vec::new();
        let ui = Ui::new(false, -1, crate::ui::Colour::Never, false);
        send(&find(&words, &here), &[1], &ui, &mut tar).unwrap();
        let mut archive = tar::Archive::new(&tar[..]);
        let paths: Vec<_> =
            archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
        assert_eq!(paths, ["1/two"]);
    }
}
