//! What differs between two manifests, file by file, and between two texts, line by line. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use super::manifest::{FileEntry, Manifest};
use super::payload::is_dense_name;

/// Who compares larger files does not read what differs. The node sends no more either (contents.py).
pub const LARGEST: u64 = 1 << 20;
pub const LARGEST_TOGETHER: u64 = 16 << 20;

/// Whether a file is one that people read, as far as its name and size tell.
pub fn is_readable(file: &FileEntry) -> bool {
    file.size <= LARGEST && !is_dense_name(&file.path)
}

/// Lines around what differs.
const CONTEXT: usize = 3;
/// Two files that have nothing in common are not worth more: then the whole of both is shown.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thing {
    File(FileEntry),
    /// Its target.
    Link(String),
    EmptyDirectory,
}

/// A path that is not the same in two manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub path: String,
    pub old: Option<Thing>,
    pub new: Option<Thing>,
}

/// What has become of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    Added,
    Changed,
    Removed,
}

impl Difference {
    /// What differs from `old` to `new`, by path.
    pub fn between(old: &Manifest, new: &Manifest) -> Vec<Self> {
        let (mut old, mut new) = (things(old), things(new));
        old.retain(|path, thing| match new.get(path) {
            Some(same) if same == thing => {
                new.remove(path);
                false
            }
            _ => true,
        });
        let mut paths: Vec<String> = old.keys().chain(new.keys()).cloned().collect();
        paths.sort();
        paths.dedup();
        let difference = |path: String| Difference { old: old.remove(&path), new: new.remove(&path), path };
        paths.into_iter().map(difference).collect()
    }

    pub fn change(&self) -> Change {
        match (&self.old, &self.new) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            _ => Change::Changed,
        }
    }

    pub fn old_file(&self) -> Option<&FileEntry> {
        file(self.old.as_ref())
    }

    pub fn new_file(&self) -> Option<&FileEntry> {
        file(self.new.as_ref())
    }

    /// Whether there is something to compare beyond what the manifests say.
    pub fn has_contents(&self) -> bool {
        match (self.old_file(), self.new_file()) {
            (Some(old), Some(new)) => old.sha256 != new.sha256,
            (old, new) => old.or(new).is_some(),
        }
    }
}

fn file(thing: Option<&Thing>) -> Option<&FileEntry> {
    match thing {
        Some(Thing::File(file)) => Some(file),
        _ => None,
    }
}

fn things(manifest: &Manifest) -> BTreeMap<String, Thing> {
    let files = manifest.files.iter().map(|file| (file.path.clone(), Thing::File(file.clone())));
    let links = manifest.links.iter().map(|link| (link.path.clone(), Thing::Link(link.target.clone())));
    let dirs = manifest.dirs.iter().map(|dir| (dir.clone(), Thing::EmptyDirectory));
    files.chain(links).chain(dirs).collect()
}

/// A file's content, as far as people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Text(String),
    Binary,
    TooLarge,
}

impl Content {
    /// Text is UTF-8 without NUL.
    pub fn of(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Content::Text(text),
            _ => Content::Binary,
        }
    }
}

/// A line of a unified diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub kind: LineKind,
    /// Whole, with its sign, without its end.
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    Hunk,
    Context,
    Added,
    Removed,
}

/// What comes below the two names of a unified diff.
pub fn lines(old: &str, new: &str) -> Vec<Line> {
    // Only a line feed ends a line, as for diff and patch; everything else stays in it.
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    let diff = TextDiff::configure().timeout(PATIENCE).diff_slices(&old, &new);
    let mut lines = Vec::new();
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        lines.push(Line { kind: LineKind::Hunk, text: hunk.header().to_string() });
        for change in hunk.iter_changes() {
            let kind = match change.tag() {
                ChangeTag::Equal => LineKind::Context,
                ChangeTag::Insert => LineKind::Added,
                ChangeTag::Delete => LineKind::Removed,
            };
            let text = change.value();
            let whole = text.strip_suffix('\n');
            lines.push(Line { kind, text: format!("{}{}", change.tag(), whole.unwrap_or(text)) });
            if whole.is_none() {
                lines.push(Line { kind: LineKind::Context, text: "\\ No newline at end of file".to_owned() });
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::manifest::{LinkEntry, Mode};

    fn entry(path: &str, sha256: &str, mode: Mode) -> FileEntry {
        FileEntry { path: path.into(), mode, size: 1, sha256: sha256.into() }
    }

    #[test]
    fn paths_that_differ() {
        let link = |target: &str| LinkEntry { path: "l".into(), target: target.into() };
        let old = Manifest {
            files: vec![entry("a", "1", Mode::Plain), entry("m", "1", Mode::Plain), entry("x", "1", Mode::Plain)],
            links: vec![link("a")],
            dirs: vec!["e".into()],
        };
        let new = Manifest {
            files: vec![
                entry("a", "1", Mode::Plain),
                entry("e/b", "2", Mode::Plain),
                entry("m", "1", Mode::Executable),
            ],
            links: vec![link("x")],
            dirs: vec!["x".into()],
        };
        let found = Difference::between(&old, &new);
        let told: Vec<String> =
            found.iter().map(|it| format!("{} {:?} {}", it.path, it.change(), it.has_contents())).collect();
        assert_eq!(told, ["e Removed false", "e/b Added true", "l Changed false", "m Changed false", "x Changed true"]);
        assert_eq!(found[4].new, Some(Thing::EmptyDirectory));
        assert_eq!(Difference::between(&old, &old), []);
    }

    fn shown(old: &str, new: &str) -> String {
        lines(old, new).iter().map(|line| format!("{}\n", line.text)).collect()
    }

    #[test]
    fn lines_are_those_of_diff() {
        let old: String = (1..=20).map(|number| format!("{number}\n")).collect();
        let new = old.replace("\n2\n", "\ntwo\n").replace("20\n", "20\r\nlast");
        insta::assert_snapshot!(shown(&old, &new).replace('\r', "<CR>"), @r"
        @@ -1,5 +1,5 @@
         1
        -2
        +two
         3
         4
         5
        @@ -17,4 +17,5 @@
         17
         18
         19
        -20
        +20<CR>
        +last
        \ No newline at end of file
        ");
        assert_eq!(shown("", "a\n"), "@@ -0,0 +1 @@\n+a\n");
        assert_eq!(shown("a\n", ""), "@@ -1 +0,0 @@\n-a\n");
        assert_eq!(shown("a", "a\n"), "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n");
        assert_eq!(shown("a\rb\n", "a\rb\n"), "");
    }

    #[test]
    fn what_nobody_reads_is_binary() {
        assert_eq!(Content::of("Grüße\n".into()), Content::Text("Grüße\n".into()));
        assert_eq!(Content::of(b"a\0b".to_vec()), Content::Binary);
        assert_eq!(Content::of(vec![0xff]), Content::Binary);
    }

    proptest::proptest! {
        /// What `patch` makes of the old text is the new one.
        #[test]
        fn diffs_lead_from_one_to_the_other(old in "([ab]\n){0,9}[ab]?", new in "([ab]\n){0,9}[ab]?") {
            let old_lines: Vec<&str> = old.split_inclusive('\n').collect();
            let (mut made, mut at) = (String::new(), 0);
            let all = lines(&old, &new);
            for (index, line) in all.iter().enumerate() {
                let ends = if all.get(index + 1).is_some_and(|next| next.text.starts_with('\\')) { "" } else { "\n" };
                match line.kind {
                    LineKind::Hunk => {
                        let place = line.text[4..].split([',', ' ']).collect::<Vec<_>>();
                        let count: usize = if line.text[4..].split(' ').next().unwrap().contains(',') { place[1].parse().unwrap() } else { 1 };
                        let first: usize = place[0].parse().unwrap();
                        let from = if count == 0 { first } else { first - 1 };
                        old_lines[at..from].iter().for_each(|line| made.push_str(line));
                        at = from;
                    }
                    LineKind::Added => { made.push_str(&line.text[1..]); made.push_str(ends); }
                    LineKind::Removed => at += 1,
                    LineKind::Context if line.text.starts_with('\\') => {}
                    LineKind::Context => { made.push_str(old_lines[at]); at += 1; }
                }
            }
            old_lines[at..].iter().for_each(|line| made.push_str(line));
            assert_eq!(made, new);
        }
    }
}
