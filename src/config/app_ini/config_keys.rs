//! `config.*` of app.ini: which settings an app needs from outside (`cloudtool config`), and what they are without that.

use std::collections::BTreeMap;
use std::path::Path;

use super::reader::{Reader, full_key};
use crate::config::error::Problem;
use crate::config::ini_file::{self, Dialect};
use crate::config::paths::{self, Is};
use crate::config::settings::{ConfigWish, Platform};
use crate::config::{pairs, values};

impl Reader<'_> {
    pub fn config(&mut self, platform: Platform) -> Option<ConfigWish> {
        let described = self.template();
        let required = self.required(&described);
        let wish = ConfigWish { required, default: self.default(), checker: self.checker(platform) };
        (wish != ConfigWish::default()).then_some(wish)
    }

    /// Names of variables; or yes: all that the template describes and that have no default.
    fn required(&mut self, described: &[String]) -> Vec<String> {
        let words = self.words("config.required");
        if let [(line, word)] = words.as_slice()
            && let Ok(yes) = values::boolean(word)
        {
            if yes && described.is_empty() {
                let message =
                    "does not say what is required: name the variables, or describe them in a file of config.template";
                self.warn(*line, "config.required", message);
            }
            return if yes { described.to_vec() } else { Vec::new() };
        }
        let mut names = Vec::new();
        for (line, name) in words {
            let checked = values::variable(&name).map_err(|message| format!("{}: {message}", values::quoted(&name)));
            if self.checked(line, "config.required", checked).is_some() && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// A file with lines NAME=value.
    fn default(&mut self) -> BTreeMap<String, String> {
        let Some((path, text)) = self.file_named("config.default", &[]) else { return BTreeMap::new() };
        pairs::parse(&text).unwrap_or_else(|problems| {
            self.problems
                .extend(problems.into_iter().map(|(line, message)| problem_in(self.dir, &path, line, message)));
            BTreeMap::new()
        })
    }

    /// The names in `[variables]` of an INI file, or of the `template.ini` in a directory.
    fn template(&mut self) -> Vec<String> {
        let Some((path, text)) = self.file_named("config.template", &["template.ini"]) else { return Vec::new() };
        let dialect = Dialect { literal: |_| true, bare: |_| true };
        let (file, problems) = ini_file::parse(&self.dir.join(&path), &text, &dialect);
        self.problems.extend(problems);
        let entries = file.section("variables").map_or(&[][..], |section| &section.entries);
        let mut names = Vec::new();
        for entry in entries {
            match values::variable(&entry.key) {
                Ok(()) => names.push(entry.key.clone()),
                Err(message) => {
                    self.problems.push(file.problem(Some(entry.line), format!("variables.{}", entry.key), message))
                }
            }
        }
        names
    }

    /// `module:function`, called with what is set, before it is used.
    fn checker(&mut self, platform: Platform) -> Option<String> {
        let (line, text) = self.one("config.checker")?;
        if platform != Platform::Python {
            self.problem(
                line,
                "config.checker",
                format!("it is a function of Python, and the app is {}", platform.name()),
            );
        }
        let right =
            text.split_once(':').is_some_and(|(module, function)| [module, function].into_iter().all(is_dotted_name));
        let wrong = || format!("{} is not written as module:function", values::quoted(&text));
        self.checked(line, "config.checker", right.then(|| text.clone()).ok_or_else(wrong))
    }

    /// The path and the text of a file of the app. `inside`: where it is when a directory is named, as a Silver Lining app does,
    /// whose template need not have one.
    fn file_named(&mut self, key: &str, inside: &[&str]) -> Option<(String, String)> {
        let (line, text) = self.one(key)?;
        let path = match inside {
            [file] if self.dir.join(&text).is_dir() => {
                let path = format!("{}/{file}", text.trim_end_matches('/'));
                if !self.dir.join(&path).exists() {
                    self.warn(line, key, format!("describes nothing: there is no {path}"));
                    return None;
                }
                path
            }
            _ => text,
        };
        let path = self.checked(line, key, paths::app_path(self.dir, &path, Is::File))?;
        let read = std::fs::read_to_string(self.dir.join(&path)).map_err(|error| format!("{path}: {error}"));
        Some((path, self.checked(line, key, read)?))
    }
}

/// `a.b_c`.
fn is_dotted_name(text: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.split('.').all(|word| word.starts_with(first) && word.chars().all(|c| first(c) || c.is_ascii_digit()))
}

fn problem_in(dir: &Path, path: &str, line: usize, message: String) -> Problem {
    Problem { file: dir.join(path), line: Some(line), key: full_key("config.default"), message, suggestion: None }
}
