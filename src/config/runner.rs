//! `runner`, `platform`, `php_root` and the old `service.php`: what answers an app's requests.

use std::path::Path;

use super::command;
use super::paths::{self, Is};
use super::settings::{Platform, Runner};
use super::values::quoted;

/// What `runner =` says.
#[derive(Debug, PartialEq, Eq)]
pub enum RunnerText {
    /// `static`: no code runs.
    Static,
    /// With the file of the app that has to travel with it.
    Code(Runner, Option<String>),
}

impl RunnerText {
    /// The platform the runner is written for; a command may be of any.
    pub fn platform(&self) -> Option<Platform> {
        match self {
            RunnerText::Static => Some(Platform::Static),
            RunnerText::Code(Runner::Php { .. }, _) => Some(Platform::Php),
            RunnerText::Code(Runner::Wsgi { .. } | Runner::Paste { .. }, _) => Some(Platform::Python),
            RunnerText::Code(Runner::Command { .. }, _) => None,
        }
    }
}

/// Reads `app.py`, `app.py#object`, `site.ini`, `site.ini#app`, `index.php`, `command:PROGRAM ARGUMENTS` or `static`. The file must be in
/// the app.
pub fn parse(app_dir: &Path, text: &str) -> Result<RunnerText, String> {
    if let Some(line) = text.strip_prefix("command:") {
        let line = command::parse(app_dir, line)?;
        return Ok(RunnerText::Code(Runner::Command { words: line.words }, line.file));
    }
    let (file, object) = match text.split_once('#') {
        Some((file, object)) => (file.trim_end(), Some(object.trim())),
        None => (text, None),
    };
    let extension = Path::new(file).extension().and_then(|extension| extension.to_str()).unwrap_or("");
    let in_app = |file| paths::app_path(app_dir, file, Is::File);
    let runner = match extension {
        "py" | "wsgi" => {
            Runner::Wsgi { object: object_name(object.unwrap_or("application"), "")?, file: in_app(file)? }
        }
        "ini" => Runner::Paste { object: object_name(object.unwrap_or("main"), "-.")?, file: in_app(file)? },
        "php" if object.is_some() => return Err("a PHP file has no #object".to_owned()),
        "php" => Runner::Php { file: in_app(file)? },
        // toppcloud: anything that begins with `static`.
        _ if file.starts_with("static") && object.is_none() => return Ok(RunnerText::Static),
        _ => {
            return Err(format!(
                "{} is not a runner: write a .py file (with `application`, or file.py#object), a Paste .ini file (or file.ini#app), a .php file, command:PROGRAM, or static",
                quoted(text)
            ));
        }
    };
    let file = runner.file().map(str::to_owned);
    Ok(RunnerText::Code(runner, file))
}

/// What stands after '#': a name that may have `more` in it.
fn object_name(text: &str, more: &str) -> Result<String, String> {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let rest = |c: char| first(c) || c.is_ascii_digit() || more.contains(c);
    if text.starts_with(first) && text.chars().all(rest) && text.len() <= 100 {
        return Ok(text.to_owned());
    }
    Err(format!("{} is not a name: after '#' stands the name of an object in the file", quoted(text)))
}

/// What `platform =` says.
pub fn parse_platform(text: &str) -> Option<Platform> {
    [Platform::Python, Platform::Php, Platform::Static, Platform::Command]
        .into_iter()
        .find(|platform| platform.name() == text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runners() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["app.py", "site.ini", "index.php", "static.py"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let code = |runner: Runner| {
            let file = runner.file().map(str::to_owned);
            Ok(RunnerText::Code(runner, file))
        };
        let wsgi = |file: &str, object: &str| code(Runner::Wsgi { file: file.into(), object: object.into() });
        let paste = |object: &str| code(Runner::Paste { file: "site.ini".into(), object: object.into() });
        let parse = |text| parse(dir.path(), text);
        assert_eq!(parse("app.py"), wsgi("app.py", "application"));
        assert_eq!(parse("./app.py#app"), wsgi("app.py", "app"));
        assert_eq!(parse("site.ini"), paste("main"));
        assert_eq!(parse("site.ini#blog-2"), paste("blog-2"));
        assert_eq!(parse("index.php"), code(Runner::Php { file: "index.php".into() }));
        let words = ["node", "server.js", "$PORT"].map(str::to_owned).to_vec();
        assert_eq!(parse("command: node server.js $PORT"), code(Runner::Command { words }));
        assert_eq!(parse("static"), Ok(RunnerText::Static));
        assert_eq!(parse("static-files"), Ok(RunnerText::Static));
        assert_eq!(parse("static.py"), wsgi("static.py", "application"));
        for bad in ["app", "app.py#", "app.py#a b", "app.py#a.b", "index.php#x", "no.py", "../app.py", "#x", "command:"]
        {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
