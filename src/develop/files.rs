//! Which file answers a request, by the rules of a slot's Apache (`server-files/apache/slot.conf.hbs`): `static/`,
//! `writable_root/HOST/`, `writable_root/`, `php_root`, the app.

use std::path::{Path, PathBuf};

/// Where an app's files are.
#[derive(Debug, Clone, Default)]
pub struct Roots {
    pub app: PathBuf,
    pub writable: Option<PathBuf>,
    pub php: Option<String>,
    /// PHP's files are never read as files, and there may be a runner.
    pub is_php: bool,
    pub runner: Option<String>,
    /// Whether there is a process that answers what no file does.
    pub has_app: bool,
}

/// What answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    File(PathBuf),
    /// To the same place with a slash, or without `index.html`: the path without mount and query.
    Redirect(String),
    /// A PHP file, relative to the app; what it is called, and what follows that in the path.
    Script {
        file: String,
        name: String,
        info: String,
    },
    App,
    Nothing,
}

/// The path of a URL without `%`, `.`, `..` and repeated slashes; none where it leaves the root or is no path.
pub fn plain(path: &str) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    let raw = path.strip_prefix('/')?;
    for part in raw.split('/') {
        match decoded(part)?.as_str() {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part.to_owned()),
        }
    }
    let is_directory = raw.is_empty() || raw.ends_with('/') || raw.ends_with("/.") || raw.ends_with("/..");
    let slash = if is_directory && !parts.is_empty() { "/" } else { "" };
    Some(format!("/{}{slash}", parts.join("/")))
}

/// `%2F` stays as it is: it is no border between directories.
fn decoded(part: &str) -> Option<String> {
    let bytes = part.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let digits = part.get(at + 1..at + 3)?;
            match u8::from_str_radix(digits, 16).ok()? {
                0 => return None,
                b'/' => out.extend_from_slice(&bytes[at..at + 3]),
                byte => out.push(byte),
            }
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(out).ok()
}

/// The path as it stands in a URL.
fn encoded(path: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte);
    path.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

impl Roots {
    /// What answers `path`, which is [`plain`]; `reads`: the method is GET or HEAD.
    pub fn answer(&self, path: &str, host: &str, reads: bool) -> Answer {
        let hidden = path == "/app.ini" || path.split('/').any(is_hidden);
        let is_program = self.is_php && path.split('/').any(is_php);
        let may_be_file = reads && !hidden && !is_program;
        if may_be_file {
            let of_host = self.writable.iter().filter(|_| is_host(host)).map(|root| root.join(host));
            let roots = std::iter::once(self.app.join("static")).chain(of_host).chain(self.writable.clone());
            if let Some(answer) = roots.filter_map(|root| in_directory(&root, path)).next() {
                return answer;
            }
        }
        if let Some(root) = &self.php
            && let Some(answer) = self.in_php_root(root, path, hidden, may_be_file)
        {
            return answer;
        }
        match &self.runner {
            Some(file) => Answer::Script { file: file.clone(), name: "/".to_owned(), info: String::new() },
            None if self.has_app => Answer::App,
            None => Answer::Nothing,
        }
    }

    fn in_php_root(&self, root: &str, path: &str, hidden: bool, may_be_file: bool) -> Option<Answer> {
        let at = |path: &str| self.app.join(root).join(path.trim_start_matches('/'));
        let script = |name: &str, info: &str| Answer::Script {
            file: format!("{root}{name}"),
            name: name.to_owned(),
            info: info.to_owned(),
        };
        if !hidden {
            for (end, _) in path.match_indices(".php") {
                let (name, info) = path.split_at(end + ".php".len());
                if (info.is_empty() || info.starts_with('/')) && at(name).is_file() {
                    return Some(script(name, info));
                }
            }
            let index = format!("{path}index.php");
            if path.ends_with('/') && at(&index).is_file() {
                return Some(script(&index, ""));
            }
        }
        if !may_be_file {
            return None;
        }
        let is_directory = path.ends_with('/');
        let index = at(path).join("index.html");
        if is_directory && index.is_file() {
            return Some(Answer::File(index));
        }
        if !is_directory && at(path).is_file() {
            return Some(Answer::File(at(path)));
        }
        let has_index = index.is_file() || at(path).join("index.php").is_file();
        (!is_directory && has_index).then(|| Answer::Redirect(encoded(&format!("{path}/"))))
    }
}

fn in_directory(root: &Path, path: &str) -> Option<Answer> {
    let file = root.join(path.trim_start_matches('/'));
    if let Some(directory) = path.strip_suffix("index.html").filter(|directory| directory.ends_with('/'))
        && file.is_file()
    {
        return Some(Answer::Redirect(encoded(directory)));
    }
    let index = file.join("index.html");
    if path.ends_with('/') {
        return index.is_file().then_some(Answer::File(index));
    }
    if file.is_file() {
        return Some(Answer::File(file));
    }
    index.is_file().then(|| Answer::Redirect(encoded(&format!("{path}/"))))
}

fn is_hidden(part: &str) -> bool {
    part.starts_with('.') && part != ".well-known"
}

fn is_php(part: &str) -> bool {
    let ending = part.rsplit_once('.').map_or("", |(_, ending)| ending);
    let version =
        ending.strip_prefix("php").is_some_and(|rest| rest.len() < 2 && rest.bytes().all(|b| b.is_ascii_digit()));
    version || ["phtml", "phar", "inc"].contains(&ending)
}

/// No path in it.
fn is_host(host: &str) -> bool {
    !host.is_empty() && !host.starts_with('.') && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_plain() {
        for (raw, expected) in [
            ("/", Some("/")),
            ("/a//b/./c", Some("/a/b/c")),
            ("/a/../b/", Some("/b/")),
            ("/a/..", Some("/")),
            ("/%C3%BC%20x", Some("/ü x")),
            ("/a%2Fb", Some("/a%2Fb")),
            ("/%2e%2e/x", None),
            ("/../x", None),
            ("/a/../../x", None),
            ("/%00", None),
            ("/%zz", None),
            ("/%ff", None),
            ("x", None),
        ] {
            assert_eq!(plain(raw).as_deref(), expected, "{raw}");
        }
    }

    fn app(files: &[&str]) -> (tempfile::TempDir, Roots) {
        let dir = tempfile::tempdir().unwrap();
        for path in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let app = dir.path().to_owned();
        (dir, Roots { writable: Some(app.join("w")), app, has_app: true, ..Roots::default() })
    }

    #[test]
    fn static_files_come_first() {
        let (_dir, roots) = app(&[
            "static/a.css",
            "static/d/index.html",
            "static/.env",
            "static/app.ini",
            "static/.well-known/x",
            "w/a.css",
            "w/b.css",
            "w/x.test/b.css",
        ]);
        let file = |path: &str| Answer::File(roots.app.join(path));
        let get = |path: &str| roots.answer(path, "x.test", true);
        assert_eq!(get("/a.css"), file("static/a.css"));
        assert_eq!(get("/b.css"), file("w/x.test/b.css"));
        assert_eq!(roots.answer("/b.css", "y.test", true), file("w/b.css"));
        assert_eq!(roots.answer("/b.css", "..", true), file("w/b.css"));
        assert_eq!(get("/d/"), file("static/d/index.html"));
        assert_eq!(get("/d"), Answer::Redirect("/d/".to_owned()));
        assert_eq!(get("/d/index.html"), Answer::Redirect("/d/".to_owned()));
        assert_eq!(get("/.well-known/x"), file("static/.well-known/x"));
        for path in ["/.env", "/app.ini", "/d/none", "/", "/a.css/"] {
            assert_eq!(get(path), Answer::App, "{path}");
        }
        assert_eq!(roots.answer("/a.css", "x.test", false), Answer::App);
        let only_files = Roots { has_app: false, ..roots.clone() };
        assert_eq!(only_files.answer("/none", "x.test", true), Answer::Nothing);
    }

    #[test]
    fn php_is_run_and_never_read() {
        let (_dir, plain) = app(&[
            "static/x.php",
            "web/index.php",
            "web/a.php",
            "web/b.css",
            "web/sub/index.php",
            "web/lib.inc",
            "web/.secret.php",
        ]);
        let roots = Roots { is_php: true, php: Some("web".to_owned()), ..plain };
        let script = |name: &str, info: &str| Answer::Script {
            file: format!("web{name}"),
            name: name.to_owned(),
            info: info.to_owned(),
        };
        let get = |path: &str| roots.answer(path, "x.test", true);
        assert_eq!(get("/"), script("/index.php", ""));
        assert_eq!(get("/a.php"), script("/a.php", ""));
        assert_eq!(get("/a.php/more/x"), script("/a.php", "/more/x"));
        assert_eq!(roots.answer("/a.php", "x.test", false), script("/a.php", ""));
        assert_eq!(get("/b.css"), Answer::File(roots.app.join("web/b.css")));
        assert_eq!(get("/sub"), Answer::Redirect("/sub/".to_owned()));
        for path in ["/x.php", "/lib.inc", "/.secret.php", "/none"] {
            assert_eq!(get(path), Answer::App, "{path}");
        }
        let with_runner = Roots { runner: Some("web/index.php".to_owned()), ..roots.clone() };
        let expected = Answer::Script { file: "web/index.php".to_owned(), name: "/".to_owned(), info: String::new() };
        assert_eq!(with_runner.answer("/none", "x.test", true), expected);
    }
}
