//! What reading one key has in common with reading the next: values by lines and words, and where problems go.

use std::ops::RangeInclusive;
use std::path::Path;

use crate::config::error::{Problem, Warning};
use crate::config::ini_file::{Entry, IniFile, Section};
use crate::config::values;

/// Reads `[production]` and gathers what is wrong with it.
pub struct Reader<'a> {
    pub file: &'a IniFile,
    /// `[production]`.
    pub section: &'a Section,
    pub dir: &'a Path,
    pub problems: Vec<Problem>,
    pub warnings: Vec<Warning>,
    pub named: Vec<(String, Problem)>,
}

impl<'a> Reader<'a> {
    /// The only line of a value. Anything but one line is a problem.
    pub fn one(&mut self, key: &str) -> Option<(usize, String)> {
        let entry = self.section.entry(key)?;
        match entry.values.as_slice() {
            [(line, text)] => return Some((*line, text.clone())),
            [] => self.problem(entry.line, key, "the value is missing"),
            [_, (line, _), ..] => self.problem(*line, key, "the key takes one value, and this is a second one"),
        }
        None
    }

    pub fn lines(&self, key: &str) -> Vec<(usize, String)> {
        self.section.entry(key).map(|entry: &'a Entry| entry.values.clone()).unwrap_or_default()
    }

    pub fn words(&self, key: &str) -> Vec<(usize, String)> {
        let lines = self.lines(key);
        lines.iter().flat_map(|(line, text)| text.split_whitespace().map(|word| (*line, word.to_owned()))).collect()
    }

    pub fn value<T>(&mut self, key: &str, default: T, parse: impl Fn(&str) -> Result<T, String>) -> T {
        let Some((line, text)) = self.one(key) else { return default };
        self.checked(line, key, parse(&text)).unwrap_or(default)
    }

    pub fn seconds(&mut self, key: &str, default: u32, range: RangeInclusive<u32>) -> u32 {
        self.value(key, default, |text| values::seconds(text, range.clone()))
    }

    pub fn checked<T>(&mut self, line: usize, key: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.problem(line, key, message)).ok()
    }

    pub fn name_path(&mut self, line: usize, key: &str, path: &str) {
        let message =
            format!("{path:?} is left out by an ignore file: re-include it with !/{path} in .cloudtoolignore");
        self.named.push((path.to_owned(), self.file.problem(Some(line), full_key(key), message)));
    }

    pub fn missing(&mut self, key: &str, message: &str) {
        let line = Some(self.section.line);
        self.problems.push(self.file.problem(line, full_key(key), format!("the key is missing: {message}")));
    }

    pub fn problem(&mut self, line: usize, key: &str, message: impl Into<String>) {
        self.problems.push(self.file.problem(Some(line), full_key(key), message));
    }

    pub fn warn(&mut self, line: usize, key: &str, message: impl Into<String>) {
        self.warnings.push(self.file.problem(Some(line), full_key(key), message));
    }
}

/// The key as messages name it.
pub fn full_key(key: &str) -> String {
    format!("production.{key}")
}
