//! Paths in configurations. Those in app.ini name something inside the app, and they end up in the configuration of an Apache.

use std::path::{Component, Path, PathBuf};

use super::values::quoted;

/// What a path must name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Is {
    File,
    Directory,
}

/// A path of the user's own machine, where `~/` is the home directory.
pub fn expand_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), dirs::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

/// The path in its plain form (`src/app.py`), when it is relative, inside `app_dir`, there, and without characters that mean
/// something to Apache. Otherwise a sentence that says what is wrong.
pub fn app_path(app_dir: &Path, text: &str, is: Is) -> Result<String, String> {
    let plain = relative(text)?;
    let full = app_dir.join(&plain);
    let Ok(found) = std::fs::metadata(&full) else {
        let what = if is == Is::File { "file" } else { "directory" };
        return Err(format!("there is no {what} {plain:?} in the app"));
    };
    match is {
        Is::File if !found.is_file() => return Err(format!("{plain:?} is not a file")),
        Is::Directory if !found.is_dir() => return Err(format!("{plain:?} is not a directory")),
        _ => {}
    }
    let inside = match (full.canonicalize(), app_dir.canonicalize()) {
        (Ok(full), Ok(app)) => full.starts_with(app),
        _ => false,
    };
    if inside { Ok(plain) } else { Err(format!("{plain:?} leads out of the app")) }
}

/// A relative path without `.`, `..` and repeated slashes.
pub fn relative(text: &str) -> Result<String, String> {
    // Quotes, variables and wildcards of Apache's configuration, and what would end a line.
    let forbidden = |c: char| c.is_control() || "\"\\$%<>*?[]".contains(c);
    if let Some(c) = text.chars().find(|c| forbidden(*c)) {
        return Err(format!("{c:?} is not allowed in a path"));
    }
    if text.len() > 1000 {
        return Err("a path has at most 1000 bytes".to_owned());
    }
    let mut plain = PathBuf::new();
    for component in Path::new(text).components() {
        match component {
            Component::Normal(part) => plain.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err(format!("{} leaves the app: '..' is not allowed", quoted(text))),
            Component::RootDir | Component::Prefix(_) => {
                return Err(format!("{} is absolute: write it relative to the app's directory", quoted(text)));
            }
        }
    }
    match plain.to_str() {
        Some(plain) if !plain.is_empty() => Ok(plain.to_owned()),
        _ => Err("the app's directory itself is not allowed here: name something in it".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_inside_the_app() {
        for (text, plain) in [("a/b.py", "a/b.py"), ("./a//b/", "a/b"), ("ü x'y", "ü x'y"), ("-x", "-x")] {
            assert_eq!(relative(text), Ok(plain.to_owned()));
        }
        for bad in
            ["", ".", "/etc/passwd", "../x", "a/../../x", "a\"b", "a\\b", "$x", "%{x}", "<x", "a\nb", "a\u{7f}", "*"]
        {
            assert!(relative(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn they_exist_and_do_not_leave_through_links() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.py"), "").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).unwrap();
        assert_eq!(app_path(dir.path(), "a.py", Is::File), Ok("a.py".into()));
        insta::assert_snapshot!(app_path(dir.path(), "a.py", Is::Directory).unwrap_err(), @r#""a.py" is not a directory"#);
        insta::assert_snapshot!(app_path(dir.path(), "b.py", Is::File).unwrap_err(), @r#"there is no file "b.py" in the app"#);
        insta::assert_snapshot!(app_path(dir.path(), "link", Is::File).unwrap_err(), @r#""link" leads out of the app"#);
    }
}
