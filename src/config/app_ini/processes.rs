//! `[process:NAME]` of app.ini: what runs beside the app.

use std::collections::BTreeMap;

use super::reader::Reader;
use crate::config::command;
use crate::config::error::{Problem, nearest};
use crate::config::ini_file::{Entry, Section};
use crate::config::settings::Process;
use crate::config::values;

/// What a section of this kind begins with.
pub const KIND: &str = "process:";

const KEYS: [&str; 4] = ["command", "count", "memory", "stop_timeout"];

impl<'a> Reader<'a> {
    pub fn processes(&mut self) -> BTreeMap<String, Process> {
        let mut processes = BTreeMap::new();
        for (section, name) in self.named_sections(KIND) {
            let mut process = Process { words: Vec::new(), count: 1, memory: None, stop_timeout: 30 };
            for entry in &section.entries {
                let text = entry.text();
                let result = match entry.key.as_str() {
                    "command" => self.command_line(section, entry).map(|words| process.words = words),
                    "count" => values::number(&text, 0..=100).map(|count| process.count = count),
                    "memory" => values::memory(&text).map(|bytes| process.memory = Some(bytes)),
                    "stop_timeout" => values::seconds(&text, 1..=3600).map(|seconds| process.stop_timeout = seconds),
                    _ => {
                        self.unknown_key(section, entry, &KEYS);
                        continue;
                    }
                };
                self.note(section, entry, result);
            }
            if section.entry("command").is_none() {
                let message = "the key is missing: a process runs a command, e.g. command = python3 worker.py";
                self.problems.push(self.file.problem(Some(section.line), format!("{}.command", section.name), message));
            }
            processes.insert(name, process);
        }
        processes
    }

    /// The sections `[KIND:NAME]`, each with its name; a name that is none is a problem.
    pub fn named_sections(&mut self, kind: &str) -> Vec<(&'a Section, String)> {
        let mut found = Vec::new();
        for section in &self.file.sections {
            let Some(name) = section.name.strip_prefix(kind) else { continue };
            match process_name(name) {
                Ok(()) => found.push((section, name.to_owned())),
                Err(message) => {
                    self.problems.push(self.file.problem(Some(section.line), format!("[{}]", section.name), message));
                }
            }
        }
        found
    }

    /// A command line; a file of the app that it begins with must travel.
    pub fn command_line(&mut self, section: &Section, entry: &Entry) -> Result<Vec<String>, String> {
        if let [_, _, ..] = entry.values.as_slice() {
            return Err("a command is one line".to_owned());
        }
        let line = command::parse(self.dir, &entry.text())?;
        if let Some(file) = &line.file {
            let message =
                format!("{file:?} is left out by an ignore file: re-include it with !/{file} in .cloudtoolignore");
            let key = format!("{}.{}", section.name, entry.key);
            self.named.push((file.clone(), self.file.problem(Some(entry.line), key, message)));
        }
        Ok(line.words)
    }

    pub fn unknown_key(&mut self, section: &Section, entry: &Entry, known: &[&str]) {
        let key = format!("{}.{}", section.name, entry.key);
        let suggestion = nearest(&entry.key, known.iter().copied());
        let others = if suggestion.is_none() { format!(": there are {}", known.join(", ")) } else { String::new() };
        let problem = self.file.problem(Some(entry.line), key, format!("unknown key{others}"));
        self.problems.push(Problem { suggestion, ..problem });
    }

    /// Keeps what is wrong with an entry.
    pub fn note(&mut self, section: &Section, entry: &Entry, result: Result<(), String>) {
        if let Err(message) = result {
            let key = format!("{}.{}", section.name, entry.key);
            self.problems.push(self.file.problem(Some(entry.line), key, message));
        }
    }
}

fn process_name(name: &str) -> Result<(), String> {
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    if name == "web" {
        return Err("web is the app itself: its command is the runner".to_owned());
    }
    if name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(rest) && name.len() <= 20 {
        return Ok(());
    }
    Err("after the colon stands a name: up to 20 lower-case letters, digits, '-' and '_', beginning with a letter"
        .to_owned())
}
