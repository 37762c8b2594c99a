//! `[backup]` of app.ini: when the node backs the app up by itself, and how a copy of its data is checked.

use super::reader::Reader;
use crate::config::error::nearest;
use crate::config::ini_file::Entry;
use crate::config::paths::{self, Is};
use crate::config::settings::{BackupPlan, When};
use crate::config::values::{self, quoted};

const KEYS: [&str; 5] = ["at", "check", "every", "keep", "to"];

impl Reader<'_> {
    pub fn backup(&mut self) -> Option<BackupPlan> {
        let section = self.file.section("backup")?;
        let mut plan = BackupPlan::default();
        for entry in &section.entries {
            let text = entry.text();
            let result = match entry.key.as_str() {
                "every" => every(&text).and_then(|minutes| once(&mut plan.when, When::Every(minutes))),
                "at" => time_of_day(&text).and_then(|at| once(&mut plan.when, When::At(at))),
                "to" if text.is_empty() => Err("the value is missing".to_owned()),
                "to" => once(&mut plan.to, text),
                "keep" => values::keep(&text).and_then(|rules| once(&mut plan.keep, rules)),
                "check" => self.check(entry, &text).and_then(|words| once(&mut plan.check, words)),
                key => {
                    let mut problem = self.file.problem(Some(entry.line), format!("backup.{key}"), "unknown key");
                    problem.suggestion = nearest(key, KEYS);
                    self.problems.push(problem);
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

/// An interval that days are made of, in minutes: `30m`, `6h`.
fn every(text: &str) -> Result<u32, String> {
    let minutes = values::seconds(text, 300..=24 * 3600)? / 60;
    let fits = if minutes < 60 { 60 % minutes == 0 } else { minutes % 60 == 0 && (24 * 60) % minutes == 0 };
    if fits && !text.ends_with('s') {
        return Ok(minutes);
    }
    Err(format!(
        "{} does not go into an hour or a day: 5m, 10m, 15m, 20m, 30m, 1h, 2h, 3h, 4h, 6h, 8h, 12h and 24h do",
        quoted(text)
    ))
}

fn time_of_day(text: &str) -> Result<String, String> {
    let number = |digits: &str, limit: u32| digits.len() == 2 && digits.parse().is_ok_and(|n: u32| n < limit);
    match text.split_once(':') {
        Some((hours, minutes)) if number(hours, 24) && number(minutes, 60) => Ok(text.to_owned()),
        _ => Err(format!("{} is not a time of the day like 03:15", quoted(text))),
    }
}
