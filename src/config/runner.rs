//! `runner`, `platform`, `php_root` and the old `service.php`: what answers an app's requests.

use std::path::Path;

use super::paths::{self, Is};
use super::settings::{Platform, Runner, RunnerKind};
use super::values::quoted;

/// What `runner =` says.
#[derive(Debug, PartialEq, Eq)]
pub enum RunnerText {
    /// `static`: no code runs.
    Static,
    Code(Runner),
}

impl RunnerText {
    /// The platform the runner is written for.
    pub fn platform(&self) -> Platform {
        match self {
            RunnerText::Static => Platform::Static,
            RunnerText::Code(Runner { kind: RunnerKind::Php, .. }) => Platform::Php,
            RunnerText::Code(_) => Platform::Python,
        }
    }
}

/// Reads `app.py`, `app.py#object`, `site.ini`, `site.ini#app`, `index.php` or `static`. The file must be in the app.
pub fn parse(app_dir: &Path, text: &str) -> Result<RunnerText, String> {
    let (file, object) = match text.split_once('#') {
        Some((file, object)) => (file.trim_end(), Some(object.trim())),
        None => (text, None),
    };
    let extension = Path::new(file).extension().and_then(|extension| extension.to_str()).unwrap_or("");
    let (kind, object) = match extension {
        "py" | "wsgi" => (RunnerKind::Wsgi, Some(object.unwrap_or("application"))),
        "ini" => (RunnerKind::Paste, Some(object.unwrap_or("main"))),
        "php" if object.is_some() => return Err("a PHP file has no #object".to_owned()),
        "php" => (RunnerKind::Php, None),
        // toppcloud: anything that begins with `static`.
        _ if file.starts_with("static") && object.is_none() => return Ok(RunnerText::Static),
        _ => {
            return Err(format!(
                "{} is not a runner: write a .py file (with `application`, or file.py#object), a Paste .ini file (or file.ini#app), a .php file, or static",
                quoted(text)
            ));
        }
    };
    if let Some(object) = object {
        let first = |c: char| c.is_ascii_alphabetic() || c == '_';
        let rest = |c: char| first(c) || c.is_ascii_digit() || (kind == RunnerKind::Paste && "-.".contains(c));
        if !object.starts_with(first) || !object.chars().all(rest) || object.len() > 100 {
            return Err(format!(
                "{} is not a name: after '#' stands the name of an object in the file",
                quoted(object)
            ));
        }
    }
    let file = paths::app_path(app_dir, file, Is::File)?;
    Ok(RunnerText::Code(Runner { kind, file, object: object.map(str::to_owned) }))
}

/// What `platform =` says.
pub fn parse_platform(text: &str) -> Option<Platform> {
    [Platform::Python, Platform::Php, Platform::Static]
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
        let code = |kind, file: &str, object: Option<&str>| {
            Ok(RunnerText::Code(Runner { kind, file: file.into(), object: object.map(str::to_owned) }))
        };
        let parse = |text| parse(dir.path(), text);
        assert_eq!(parse("app.py"), code(RunnerKind::Wsgi, "app.py", Some("application")));
        assert_eq!(parse("./app.py#app"), code(RunnerKind::Wsgi, "app.py", Some("app")));
        assert_eq!(parse("site.ini"), code(RunnerKind::Paste, "site.ini", Some("main")));
        assert_eq!(parse("site.ini#blog-2"), code(RunnerKind::Paste, "site.ini", Some("blog-2")));
        assert_eq!(parse("index.php"), code(RunnerKind::Php, "index.php", None));
        assert_eq!(parse("static"), Ok(RunnerText::Static));
        assert_eq!(parse("static-files"), Ok(RunnerText::Static));
        assert_eq!(parse("static.py"), code(RunnerKind::Wsgi, "static.py", Some("application")));
        for bad in ["app", "app.py#", "app.py#a b", "app.py#a.b", "index.php#x", "no.py", "../app.py", "#x"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
