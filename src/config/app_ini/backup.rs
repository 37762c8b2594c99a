//! `[backup]` of app.ini: when the node backs the app up by itself, and how a copy of its data is checked.

use super::reader::Reader;
use crate::config::calendar;
use crate::config::ini_file::Entry;
use crate::config::paths::{self, Is};
use crate::config::settings::{BackupPlan, When};
use crate::config::values;

const KEYS: [&str; 5] = ["at", "check", "every", "keep", "to"];

impl Reader<'_> {
    pub fn backup(&mut self) -> Option<BackupPlan> {
        let section = self.file.section("backup")?;
        let mut plan = BackupPlan::default();
        for entry in &section.entries {
            let text = entry.text();
            let result = match entry.key.as_str() {
                "every" => calendar::every(&text, 5).and_then(|minutes| once(&mut plan.when, When::Every(minutes))),
                "at" => calendar::time_of_day(&text).and_then(|at| once(&mut plan.when, When::At(at))),
                "to" if text.is_empty() => Err("the value is missing".to_owned()),
                "to" => once(&mut plan.to, text),
                "keep" => values::keep(&text).and_then(|rules| once(&mut plan.keep, rules)),
                "check" => self.check(entry, &text).and_then(|words| once(&mut plan.check, words)),
                _ => {
                    self.unknown_key(section, entry, &KEYS);
                    continue;
                }
            };
            if let Err(message) = result {
                self.problems.push(self.file.problem(Some(entry.line), format!("backup.{}", entry.key), message));
            }
        }
        if plan.when.is_none() && (plan.to.is_some() || plan.keep.is_some()) {
            let message = "without `every` or `at` there is no schedule, and `to` and `keep` do nothing";
            self.warnings.push(self.file.problem(Some(section.line), "[backup]".to_owned(), message));
        }
        Some(plan)
    }

    /// A command line, split into words as a shell would; there is no shell.
    fn check(&mut self, entry: &Entry, text: &str) -> Result<Vec<String>, String> {
        let command =
            text.strip_prefix("script:").ok_or("a program of the app is written as script:PROGRAM ARGUMENTS")?;
        let words = shlex::split(command).ok_or("a quote or a backslash at the end is not closed")?;
        let (program, arguments) = words.split_first().ok_or("after script: stands a program of the app")?;
        let program = paths::app_path(self.dir, program, Is::File)?;
        let message =
            format!("{program:?} is left out by an ignore file: re-include it with !/{program} in .cloudtoolignore");
        self.named.push((program.clone(), self.file.problem(Some(entry.line), "backup.check".to_owned(), message)));
        Ok(std::iter::once(program).chain(arguments.iter().cloned()).collect())
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err("this was said already: there is one `every` or `at`, and one of the others".to_owned()),
    }
}
