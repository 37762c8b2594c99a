//! A new app: a commented app.ini and a hello app that runs, from `templates/init/PLATFORM/`.
//!
//! A file `NAME.hbs` is rendered with handlebars (variable `name`), any other is copied.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use handlebars::Handlebars;
use include_dir::{Dir, File, include_dir};
use serde::Serialize;

use super::error::Error;
use crate::config::Platform;
use crate::names::AppName;

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates/init");

/// What became of the files, relative to the directory, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Initialised {
    pub written: Vec<String>,
    /// They were there already and are as they were.
    pub kept: Vec<String>,
}

/// Writes a hello app into `dir`, which is made when it is missing. Files that exist are kept unless `force`.
///
/// Errors: [`Error::Write`].
pub fn init(dir: &Path, name: &AppName, platform: Platform, force: bool) -> Result<Initialised, Error> {
    let mut done = Initialised::default();
    for (path, content) in files(name, platform)? {
        let to = dir.join(&path);
        match write_file(&to, &content, force) {
            Ok(()) => done.written.push(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !force => done.kept.push(path),
            Err(source) => return Err(Error::Write { path: to, source }),
        }
    }
    Ok(done)
}

/// The name an app in this directory would have: its last part, with what is not allowed replaced. None when nothing is left.
pub fn name_from_dir(dir: &Path) -> Option<AppName> {
    let full: PathBuf = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let text = full.file_name()?.to_str()?.to_lowercase();
    let safe: String = text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect();
    let start = safe.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    start.get(..start.len().min(28))?.trim_end_matches('-').parse().ok()
}

fn files(name: &AppName, platform: Platform) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut files = Vec::new();
    if let Some(dir) = TEMPLATES.get_dir(platform.name()) {
        for file in all_files(dir) {
            let path = file.path().strip_prefix(platform.name()).unwrap_or(file.path()).to_string_lossy().into_owned();
            files.push(match path.strip_suffix(".hbs") {
                Some(plain) => (plain.to_owned(), render(&path, file, name)?),
                None => (path, file.contents().to_owned()),
            });
        }
    }
    files.sort();
    Ok(files)
}

fn all_files<'a>(dir: &'a Dir<'a>) -> Vec<&'a File<'a>> {
    dir.files().chain(dir.dirs().flat_map(all_files)).collect()
}

fn render(path: &str, file: &File<'_>, name: &AppName) -> Result<Vec<u8>, Error> {
    let broken = |message: String| Error::Template { path: path.to_owned(), message };
    let template = file.contents_utf8().ok_or_else(|| broken("not UTF-8".to_owned()))?;
    let mut handlebars = Handlebars::new();
    handlebars.set_strict_mode(true);
    handlebars.register_escape_fn(handlebars::no_escape);
    let text = handlebars
        .render_template(template, &serde_json::json!({ "name": name }))
        .map_err(|error| broken(error.to_string()))?;
    Ok(text.into_bytes())
}

fn write_file(path: &Path, content: &[u8], force: bool) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    options.open(path)?.write_all(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::app_ini;

    #[test]
    fn a_new_app_is_valid_and_nothing_is_overwritten() {
        for platform in [Platform::Python, Platform::Php, Platform::Static] {
            let dir = tempfile::tempdir().unwrap();
            let app = dir.path().join("new/app");
            let name = "guestbook".parse().unwrap();
            let first = init(&app, &name, platform, false).unwrap();
            assert!(first.written.contains(&"app.ini".to_owned()) && first.kept.is_empty(), "{first:?}");
            let config = app_ini::load(&app, &[]).unwrap();
            assert_eq!((config.name, config.settings.platform), (name.clone(), platform));
            assert_eq!(config.warnings, []);

            std::fs::write(app.join("app.ini"), "mine").unwrap();
            let second = init(&app, &name, platform, false).unwrap();
            assert_eq!((second.written, second.kept), (vec![], first.written.clone()));
            assert_eq!(std::fs::read_to_string(app.join("app.ini")).unwrap(), "mine");
            let third = init(&app, &name, platform, true).unwrap();
            assert_eq!(third, first);
            assert_ne!(std::fs::read_to_string(app.join("app.ini")).unwrap(), "mine");
        }
    }

    #[test]
    fn what_the_templates_comment_out_is_valid_too() {
        let services = ["files", "postgresql"];
        for (platform, files) in [(Platform::Python, vec!["requirements.txt", "manage.py"]), (Platform::Php, vec![])] {
            let dir = tempfile::tempdir().unwrap();
            init(dir.path(), &"a".parse().unwrap(), platform, false).unwrap();
            for file in files {
                std::fs::write(dir.path().join(file), "").unwrap();
            }
            let path = dir.path().join("app.ini");
            let uncomment = |line: &str| match line.strip_prefix("# ") {
                Some(rest) if rest.contains(" =") || rest.starts_with([' ', '[']) => rest.to_owned(),
                _ => line.to_owned(),
            };
            let text: Vec<String> = std::fs::read_to_string(&path).unwrap().lines().map(uncomment).collect();
            std::fs::write(&path, text.join("\n")).unwrap();
            let config = app_ini::load(dir.path(), &services).unwrap();
            assert_eq!(config.settings.services.len(), 2);
            assert_eq!(config.settings.env.len(), 1);
            assert!(!config.settings.update_fetch.is_empty());
        }
    }

    #[test]
    fn names_from_directories() {
        let name = |dir: &str| name_from_dir(Path::new(dir)).map(String::from);
        assert_eq!(name("/x/My App.py"), Some("my-app-py".into()));
        assert_eq!(name("/x/2nd_try-"), Some("nd_try".into()));
        assert_eq!(name(&format!("/x/{}", "a".repeat(60))), Some("a".repeat(28)));
        assert_eq!(name("/x/日本"), None);
        assert_eq!(name("/"), None);
    }
}
