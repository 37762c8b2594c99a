//! Reads an INI file into sections and entries that know their lines, and finds every syntax error in one go.
//!
//! The rules for lines are those of Python's ConfigParser, in which the files of toppcloud and Silver Lining were written: a line
//! that is indented deeper than its key belongs to the key's value, blank lines and lines that begin with `#` or `;` are ignored,
//! also inside a value. What one line says is left to `rust-ini`; it gets them one by one, so that an error has its line
//! and does not end the reading.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::path::{Path, PathBuf};

use ini::{Ini, ParseOption};

use super::error::{Error, Problem};

/// No configuration file of ours is bigger.
const MAX_BYTES: u64 = 4 << 20;

/// What differs between our INI files.
pub struct Dialect {
    /// In these sections keys keep their case and ` ;` is part of the value. Elsewhere keys are lower-cased and ` ;` begins a
    /// comment, as in ConfigParser.
    pub literal: fn(section: &str) -> bool,
    /// These keys may stand alone, without `=`.
    pub bare: fn(key: &str) -> bool,
}

/// An INI file. Sections and keys are unique, and in the file's order.
#[derive(Debug)]
pub struct IniFile {
    pub path: PathBuf,
    pub sections: Vec<Section>,
}

#[derive(Debug)]
pub struct Section {
    pub name: String,
    pub line: usize,
    pub entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub line: usize,
    /// The lines of the value that hold something, with their numbers.
    pub values: Vec<(usize, String)>,
}

/// Values may be secrets: only the key and the line are shown.
impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("key", &self.key).field("line", &self.line).finish_non_exhaustive()
    }
}

impl Entry {
    /// The whole value, lines separated by `\n`.
    pub fn text(&self) -> String {
        self.values.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n")
    }
}

impl IniFile {
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// Puts sections that are there twice together: that was refused, and what stands in them is to be looked at nonetheless. A key
    /// that is in both is a problem.
    pub fn together(self, problems: &mut Vec<Problem>) -> Self {
        let mut whole = IniFile { path: self.path, sections: Vec::new() };
        let (mut places, mut lines) = (HashMap::new(), HashMap::new());
        for mut section in self.sections {
            // What has no name is not one section.
            if section.name.is_empty() {
                whole.sections.push(section);
                continue;
            }
            let place = *places.entry(section.name.clone()).or_insert(whole.sections.len());
            section.entries.retain(|entry| match lines.entry((place, entry.key.clone())) {
                Slot::Vacant(slot) => {
                    slot.insert(entry.line);
                    true
                }
                Slot::Occupied(first) => {
                    let message = format!("the key is in line {} already", first.get());
                    problems.push(whole.problem(Some(entry.line), format!("{}.{}", section.name, entry.key), message));
                    false
                }
            });
            match whole.sections.get_mut(place) {
                Some(first) => first.entries.extend(section.entries),
                None => whole.sections.push(section),
            }
        }
        whole
    }

    /// A problem of this file.
    pub fn problem(&self, line: Option<usize>, key: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem { file: self.path.clone(), line, key: key.into(), message: message.into(), suggestion: None }
    }
}

impl Section {
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// Reads the text of a configuration file.
///
/// Errors: [`Error::Read`], [`Error::TooBig`], or [`Error::Problems`] with the line that is not UTF-8.
pub fn read(path: &Path) -> Result<String, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_BYTES {
        return Err(Error::TooBig { path: path.to_owned(), size, limit: MAX_BYTES });
    }
    String::from_utf8(std::fs::read(path).map_err(failed)?).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        Error::Problems(vec![Problem {
            file: path.to_owned(),
            line: Some(1 + valid.iter().filter(|byte| **byte == b'\n').count()),
            key: String::new(),
            message: "not UTF-8: save the file as UTF-8".to_owned(),
            suggestion: None,
        }])
    })
}

/// Parses `text`; `path` is for the messages. What can be read is returned beside the problems, so that the caller can look for
/// more of them.
pub fn parse(path: &Path, text: &str, dialect: &Dialect) -> (IniFile, Vec<Problem>) {
    let mut reader = Reader {
        file: IniFile { path: path.to_owned(), sections: Vec::new() },
        problems: Vec::new(),
        dialect,
        section_lines: HashMap::new(),
        key_lines: HashMap::new(),
        indent: 0,
        open: Open::Nothing,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.split('\n').enumerate() {
        reader.line(index + 1, line);
    }
    (reader.file, reader.problems)
}

/// Where an indented line belongs.
enum Open {
    /// To nobody: it is a line of its own.
    Nothing,
    /// To the last entry of the last section.
    Entry,
    /// To something that was refused, and goes with it.
    Refused,
}

struct Reader<'a> {
    file: IniFile,
    problems: Vec<Problem>,
    dialect: &'a Dialect,
    section_lines: HashMap<String, usize>,
    /// Keys of the current section.
    key_lines: HashMap<String, usize>,
    /// How deep the last key is indented.
    indent: usize,
    open: Open,
}

impl Reader<'_> {
    fn line(&mut self, number: usize, line: &str) {
        let text = line.trim();
        if text.is_empty() || text.starts_with(['#', ';']) {
            return;
        }
        if text.contains('\0') {
            self.refuse(number, "", "a NUL character is not allowed");
            return;
        }
        let indent = line.chars().take_while(|c| c.is_whitespace()).count();
        match self.open {
            Open::Refused if indent > self.indent => {}
            Open::Entry if indent > self.indent => self.continuation(number, text),
            _ => {
                self.indent = indent;
                if text.starts_with('[') { self.header(number, text) } else { self.entry(number, text) }
            }
        }
    }

    fn continuation(&mut self, number: usize, text: &str) {
        let literal = self.is_literal();
        if let Some(entry) = self.file.sections.last_mut().and_then(|section| section.entries.last_mut()) {
            let text = if literal { text } else { without_comment(text) };
            entry.values.push((number, text.to_owned()));
        }
    }

    fn header(&mut self, number: usize, text: &str) {
        self.open = Open::Nothing;
        self.key_lines.clear();
        // A section that cannot be read still takes the keys below it: they are not the previous section's.
        let name = match parse_line(without_comment(text)) {
            Some(Line::Section(name)) if !name.is_empty() => name,
            _ => {
                self.problem(number, "", format!("{text:?} is not a section: write [NAME]"));
                String::new()
            }
        };
        if let Some(first) = self.section_lines.get(&name).filter(|_| !name.is_empty()) {
            let message = format!("the section is in line {first} already");
            self.problem(number, &format!("[{name}]"), message);
        }
        self.section_lines.entry(name.clone()).or_insert(number);
        self.file.sections.push(Section { name, line: number, entries: Vec::new() });
    }

    fn entry(&mut self, number: usize, text: &str) {
        let parsed = match parse_line(text) {
            Some(Line::Entry(key, value)) if !key.is_empty() => Some((key, value)),
            _ if (self.dialect.bare)(text) => Some((text.to_owned(), String::new())),
            _ => None,
        };
        let Some((key, value)) = parsed else {
            // The line is not quoted: it may be a secret that lost its key.
            return self.refuse(number, "", "neither [section] nor key = value");
        };
        let literal = self.is_literal();
        let key = if literal { key } else { key.to_lowercase() };
        let Some(section) = self.file.sections.last_mut() else {
            return self.refuse(number, &key, "stands before the first [section]");
        };
        let full_key = format!("{}.{key}", section.name);
        if let Some(first) = self.key_lines.get(&key) {
            let message = format!("the key is in line {first} already");
            return self.refuse(number, &full_key, message);
        }
        let value = if literal { value.as_str() } else { without_comment(&value) };
        let values = if value.is_empty() { Vec::new() } else { vec![(number, value.to_owned())] };
        section.entries.push(Entry { key: key.clone(), line: number, values });
        self.key_lines.insert(key, number);
        self.open = Open::Entry;
    }

    fn is_literal(&self) -> bool {
        self.file.sections.last().is_some_and(|section| (self.dialect.literal)(&section.name))
    }

    fn refuse(&mut self, number: usize, key: &str, message: impl Into<String>) {
        self.problem(number, key, message);
        self.open = Open::Refused;
    }

    fn problem(&mut self, number: usize, key: &str, message: impl Into<String>) {
        self.problems.push(self.file.problem(Some(number), key, message));
    }
}

/// A line as rust-ini reads it.
enum Line {
    Section(String),
    Entry(String, String),
}

/// None when the line is neither.
fn parse_line(text: &str) -> Option<Line> {
    let option = ParseOption { enabled_quote: false, enabled_escape: true, ..ParseOption::default() };
    // With escapes on, every character of the line stands for itself.
    let escaped = text.replace('\\', "\\\\").replace('\r', "\\r");
    let parsed = Ini::load_from_str_opt(&escaped, option).ok()?;
    let (name, properties) = parsed.iter().find(|(name, properties)| name.is_some() || !properties.is_empty())?;
    let mut properties = properties.iter();
    let line = match (name, properties.next()) {
        (Some(name), None) => Line::Section(name.to_owned()),
        (None, Some((key, value))) => Line::Entry(key.to_owned(), value.to_owned()),
        _ => return None,
    };
    properties.next().is_none().then_some(line)
}

/// The text before a `;` that stands at the beginning or behind a blank.
fn without_comment(text: &str) -> &str {
    let after_blank = |at: &usize| text[..*at].chars().next_back().is_none_or(char::is_whitespace);
    let comment = text.match_indices(';').map(|(at, _)| at).find(after_blank);
    text[..comment.unwrap_or(text.len())].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, Vec<String>) {
        let dialect = Dialect { literal: |section| section == "env", bare: |key| key == "bare" };
        let (file, problems) = parse(Path::new("x.ini"), text, &dialect);
        let mut entries = Vec::new();
        for section in &file.sections {
            for entry in &section.entries {
                let lines: Vec<_> = entry.values.iter().map(|(line, text)| format!("{line}:{text}")).collect();
                entries.push(format!("{} {}.{} = {}", entry.line, section.name, entry.key, lines.join("|")));
            }
        }
        (entries, problems.iter().map(Problem::to_string).collect())
    }

    #[test]
    fn lines_are_those_of_config_parser() {
        let text = "\u{feff}# first\r\n[production] ; the only one\r\nApp_Name: x ; comment\r\n; off\nlist =\n  a\n\n  # no\n  b=c ; no\n\td\nbare\nurl = http://x/;y:z\n[ env ]\nA = 1 ; 2\\n\n b\nempty =\nQ = \"q\" 'r'\n";
        let (entries, problems) = read(text);
        assert_eq!(problems, [""; 0]);
        insta::assert_snapshot!(entries.join("\n"), @r#"
        3 production.app_name = 3:x
        5 production.list = 6:a|9:b=c|10:d
        11 production.bare = 
        12 production.url = 12:http://x/;y:z
        14 env.A = 14:1 ; 2\n|15:b
        16 env.empty = 
        17 env.Q = 17:"q" 'r'
        "#);
    }

    #[test]
    fn a_file_that_is_indented_as_a_whole() {
        let (entries, problems) = read("  [production]\n  a = 1\n    2\n  b = 3\n");
        assert_eq!(problems, [""; 0]);
        assert_eq!(entries, ["2 production.a = 2:1|3:2", "4 production.b = 4:3"]);
    }

    #[test]
    fn every_error_is_found_with_its_line() {
        let text = "early = 1\n  more\n[a]\nx = 1\nX = 2\n[a]\n[b\nnonsense here\n= 3\ny = \0\n[]\n[c] d = 1\n";
        insta::assert_snapshot!(read(text).1.join("\n"), @r#"
        x.ini:1: early: stands before the first [section]
        x.ini:5: a.x: the key is in line 4 already
        x.ini:6: [a]: the section is in line 3 already
        x.ini:7: "[b" is not a section: write [NAME]
        x.ini:8: neither [section] nor key = value
        x.ini:9: neither [section] nor key = value
        x.ini:10: a NUL character is not allowed
        x.ini:11: "[]" is not a section: write [NAME]
        x.ini:12: "[c] d = 1" is not a section: write [NAME]
        "#);
    }

    #[test]
    fn what_is_not_text_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.ini");
        std::fs::write(&path, b"[a]\nb = \xff\n").unwrap();
        let message = super::read(&path).unwrap_err().to_string();
        assert!(message.ends_with("x.ini:2: not UTF-8: save the file as UTF-8"), "{message}");
        std::fs::write(&path, vec![b'#'; 5 << 20]).unwrap();
        assert!(matches!(super::read(&path), Err(Error::TooBig { .. })));
    }
}
