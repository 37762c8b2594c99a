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
            if let RunnerText::Code(Runner { file, .. }) = &runner {
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
                    format!("{} is not a platform: write python, php or static", quoted(&text)),
                );
                problem.suggestion = nearest(&text, ["python", "php", "static"]);
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
        let by_runner = runner.as_ref().map(|(line, runner)| (*line, "runner", runner.platform()));

        // Whoever says it first decides; the others must agree.
        let claims: Vec<(usize, &str, Platform)> = [asked, old_php, by_root, by_runner].into_iter().flatten().collect();
        let platform = claims.first().map_or(Platform::Python, |(_, _, platform)| *platform);
        for (line, key, other) in claims.iter().skip(1).filter(|(_, _, other)| *other != platform) {
            let (first_line, first, _) = claims[0];
            let message = format!(
                "this is for the platform {}, and {first} in line {first_line} says {}",
                other.name(),
                platform.name()
            );
            self.problem(*line, key, message);
        }
        let runner = runner.and_then(|(_, runner)| match runner {
            RunnerText::Code(runner) => Some(runner),
            RunnerText::Static => None,
        });
        let mut php_root = php_root.map(|(_, path)| path);
        if self.problems.len() == known_problems {
            match platform {
                Platform::Python if runner.is_none() => {
                    self.missing("runner", "a Python app names the file that has `application`, e.g. runner = app.py")
                }
                // toppcloud's default.
                Platform::Php if php_root.is_none() && self.dir.join("site").is_dir() => {
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
}
