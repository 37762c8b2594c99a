//! `[cron:NAME]` of app.ini: what runs at its times.

use std::collections::BTreeMap;

use super::reader::Reader;
use crate::config::calendar;
use crate::config::ini_file::{Entry, Section};
use crate::config::settings::{Concurrency, Cron, Job};
use crate::config::values::{self, quoted};

/// What a section of this kind begins with.
pub const KIND: &str = "cron:";

const KEYS: [&str; 7] = ["at", "concurrency", "every", "fetch", "run", "schedule", "timezone"];

impl Reader<'_> {
    pub fn crons(&mut self) -> BTreeMap<String, Cron> {
        let mut crons = BTreeMap::new();
        for (section, name) in self.named_sections(KIND) {
            let (mut times, mut jobs) = (Vec::new(), Vec::new());
            let (mut concurrency, mut timezone) = (Concurrency::default(), None);
            for entry in &section.entries {
                let text = entry.text();
                let result = match entry.key.as_str() {
                    "every" => calendar::every(&text, 1).map(|minutes| times.push(vec![calendar::of_every(minutes)])),
                    "at" => calendar::time_of_day(&text).map(|time| times.push(vec![calendar::of_time(&time)])),
                    "schedule" => calendar::of_cron_line(&text).map(|expressions| times.push(expressions)),
                    "run" => self.command_line(section, entry).map(|words| jobs.push(Job::Run(words))),
                    "fetch" => values::url_path(&text).map(|path| jobs.push(Job::Fetch(path))),
                    "concurrency" => values::concurrency(&text).map(|value| concurrency = value),
                    "timezone" => zone(&text).map(|zone| timezone = Some(zone)),
                    _ => {
                        self.unknown_key(section, entry, &KEYS);
                        continue;
                    }
                };
                self.note(section, entry, result);
            }
            self.exactly_one(section, &["every", "at", "schedule"], "says when it runs");
            self.exactly_one(section, &["run", "fetch"], "says what it does");
            if let (Some(calendar), Some(job)) = (times.pop(), jobs.pop()) {
                crons.insert(name, Cron { calendar, timezone, job, concurrency });
            }
        }
        crons
    }

    /// Of keys that exclude each other there is one.
    fn exactly_one(&mut self, section: &Section, keys: &[&str], what: &str) {
        let entries: Vec<&Entry> = section.entries.iter().filter(|entry| keys.contains(&entry.key.as_str())).collect();
        let Some((first, others)) = entries.split_first() else {
            let message = format!("one of {} {what}", keys.join(", "));
            self.problems.push(self.file.problem(Some(section.line), format!("[{}]", section.name), message));
            return;
        };
        for other in others {
            let message = format!("{} in line {} {what} already", first.key, first.line);
            self.note(section, other, Err(message));
        }
    }
}

/// The name of a time zone, like Europe/Berlin. Which there are, the node knows.
fn zone(text: &str) -> Result<String, String> {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_uppercase())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "_+-".contains(c))
    };
    if text.len() <= 60 && text.split('/').all(part) {
        return Ok(text.to_owned());
    }
    Err(format!("{} is not the name of a time zone like Europe/Berlin or UTC", quoted(text)))
}
