//! What is new: which contents must travel, and which files a person would call added, changed or removed. Pure.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::diff::{Change, Difference};
use super::manifest::{FileEntry, Manifest};

/// The files whose contents a node does not have: one file a content, in the order of the manifest. `have` holds `SHA256:MODE`.
pub fn to_send<'a>(manifest: &'a Manifest, have: &HashSet<String>) -> Vec<&'a FileEntry> {
    let mut seen = HashSet::new();
    manifest.files.iter().filter(|file| !have.contains(&file.key()) && seen.insert(file.sha256.as_str())).collect()
}

/// Paths, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    pub added: Vec<String>,
    pub changed: Vec<String>,
    pub removed: Vec<String>,
}

impl Changes {
    /// What differs from `old` to `new`: files by content and mode, links by target, empty directories.
    pub fn between(old: &Manifest, new: &Manifest) -> Self {
        let mut changes = Changes::default();
        for difference in Difference::between(old, new) {
            let list = match difference.change() {
                Change::Added => &mut changes.added,
                Change::Changed => &mut changes.changed,
                Change::Removed => &mut changes.removed,
            };
            list.push(difference.path);
        }
        changes
    }

    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::manifest::{LinkEntry, Mode};

    fn file(path: &str, sha256: &str, mode: Mode) -> FileEntry {
        FileEntry { path: path.into(), mode, size: 1, sha256: sha256.into() }
    }

    #[test]
    fn a_content_travels_once_and_only_when_it_is_missing() {
        let manifest = Manifest {
            files: vec![
                file("a", "1", Mode::Plain),
                file("b", "2", Mode::Plain),
                file("c", "2", Mode::Executable),
                file("d", "3", Mode::Executable),
            ],
            ..Manifest::default()
        };
        let paths = |have: &[&str]| {
            let have = have.iter().map(|key| (*key).to_owned()).collect();
            to_send(&manifest, &have).iter().map(|file| file.path.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(paths(&[]), ["a", "b", "d"]);
        assert_eq!(paths(&["1:0644", "2:0644"]), ["c", "d"]);
        assert_eq!(paths(&["1:0644", "2:0644", "2:0755", "3:0644"]), ["d"]);
    }

    #[test]
    fn added_changed_removed() {
        let old = Manifest {
            files: vec![file("a", "1", Mode::Plain), file("b", "1", Mode::Plain), file("c", "1", Mode::Plain)],
            links: vec![LinkEntry { path: "l".into(), target: "a".into() }],
            dirs: vec!["e".into()],
        };
        let new = Manifest {
            files: vec![file("a", "1", Mode::Plain), file("b", "2", Mode::Plain), file("d", "1", Mode::Plain)],
            links: vec![LinkEntry { path: "l".into(), target: "b".into() }],
            dirs: vec![],
        };
        let changes = Changes::between(&old, &new);
        assert_eq!(changes.added, ["d"]);
        assert_eq!(changes.changed, ["b", "l"]);
        assert_eq!(changes.removed, ["c", "e"]);
        assert!(Changes::between(&old, &old).is_empty());
    }
}
