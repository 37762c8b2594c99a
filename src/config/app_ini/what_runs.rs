//! Platform, runner and php_root: what answers an app's requests.

use super::reader::Reader;
use crate::config::error::nearest;
use crate::config::paths::{self, Is};
use crate::config::runner::{self, RunnerText};
use crate::config::settings::{Platform, Runner};
use crate::config::values::quoted;

impl Reader<'_> {
    /// Platform, runner and php_root fit together.
    pub fn what_runs(&mut self) -> (Platform, Option<Runner>, Option<String>) {
        let known_problems = self.problems.len();
        let runner = self.one("runner").and_then(|(line, text)| {
            let runner = self.checked(line, "runner", runner::parse(self.dir, &text))?;
            if let RunnerText::Code(_, Some(file)) = &runner {
                self.name_path(line, "runner", file);
            }
            Some((line, runner))
        });
        let asked = self.one("platform").and_then(|(line, text)| {
            let platform = runner::parse_platform(&text);
            if platform.is_none() {
                let mut problem = self.file.problem(
                    Some(line),
                    "production.platform",
                    format!("{} is not a platform: write python, php, static or command", quoted(&text)),
                );
                problem.suggestion = nearest(&text, ["python", "php", "static", "command"]);
                self.problems.push(problem);
            }
            Some((line, "platform", platform?))
        });
        let old_php = self.section.entry("service.php").map(|entry| (entry.line, "service.php", Platform::Php));
        let php_root = self.one("php_root").and_then(|(line, text)| {
            let path = self.checked(line, "php_root", paths::app_path(self.dir, &text, Is::Directory))?;
            self.name_path(line, "php_root", &path);
            Some((line, path))
        });
        let by_root = php_root.as_ref().map(|(line, _)| (*line, "php_root", Platform::Php));
        let by_runner = runner.as_ref().and_then(|(line, runner)| Some((*line, "runner", runner.platform()?)));

        // Whoever says it first decides; the others must agree.
        let claims: Vec<(usize, &str, Platform)> = [asked, old_php, by_root, by_runner].into_iter().flatten().collect();
        let platform = claims.first().map_or_else(|| self.by_default(&runner), |(_, _, platform)| *platform);
        for (line, key, other) in claims.iter().skip(1).filter(|(_, _, other)| *other != platform) {
            let (first_line, first, _) = claims[0];
            let message = format!(
                "this is for the platform {}, and {first} in line {first_line} says {}",
                other.name(),
                platform.name()
            );
            self.problem(*line, key, message);
        }
        if let Some((line, RunnerText::Code(Runner::Command { .. }, _))) = &runner {
            self.what_a_command_has(*line, platform, php_root.is_some());
        }
        let runner = runner.and_then(|(_, runner)| match runner {
            RunnerText::Code(runner, _) => Some(runner),
            RunnerText::Static => None,
        });
        let mut php_root = php_root.map(|(_, path)| path);
        if self.problems.len() == known_problems {
            match platform {
                Platform::Python if runner.is_none() => {
                    self.missing("runner", "a Python app names the file that has `application`, e.g. runner = app.py")
                }
                Platform::Command if runner.is_none() => {
                    self.missing("runner", "the platform command runs one, e.g. runner = command:node server.js")
                }
                // toppcloud's default.
                Platform::Php
                    if php_root.is_none()
                        && !matches!(runner, Some(Runner::Command { .. }))
                        && self.dir.join("site").is_dir() =>
                {
                    php_root = Some("site".to_owned())
                }
                Platform::Php if php_root.is_none() && runner.is_none() => {
                    self.missing(
                        "php_root",
                        "a PHP app names the directory of its files, e.g. php_root = site, or a runner",
                    );
                }
                Platform::Static if !self.dir.join("static").is_dir() => {
                    let message = "a static app serves the directory static/, which is not there";
                    self.problems.push(self.file.problem(
                        claims.first().map(|claim| claim.0),
                        "production.runner",
                        message,
                    ));
                }
                _ => {}
            }
        }
        (platform, runner, php_root)
    }

    /// The platform of an app that does not say it: a command is of Python when there are requirements.
    fn by_default(&self, runner: &Option<(usize, RunnerText)>) -> Platform {
        match runner {
            Some((_, RunnerText::Code(Runner::Command { .. }, _))) if self.section.entry("requirements").is_none() => {
                Platform::Command
            }
            _ => Platform::Python,
        }
    }

    /// Settings of Apache's own ways to run an app do not fit a command.
    fn what_a_command_has(&mut self, line: usize, platform: Platform, has_php_root: bool) {
        if platform == Platform::Static || has_php_root {
            self.problem(
                line,
                "runner",
                "a command answers all that is not in static/: it has neither the platform static nor a php_root",
            );
        }
        for key in ["processes", "threads"] {
            if let Some(entry) = self.section.entry(key) {
                self.warn(entry.line, key, "has no effect: a command makes its own processes and threads");
            }
        }
        if let Some(entry) = self.file.section("env").and_then(|env| env.entry("PORT")) {
            self.problems.push(self.file.problem(
                Some(entry.line),
                "env.PORT",
                "this variable is set by the node for a command",
            ));
        }
    }
}
