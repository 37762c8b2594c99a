//! Command lines of app.ini: a runner's, a process's, a cron job's. They are split into words as a shell would; there is no shell.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::paths::{self, Is};

/// A command line, and the file of the app that it begins with, if it does.
#[derive(Debug, PartialEq, Eq)]
pub struct CommandLine {
    pub words: Vec<String>,
    pub file: Option<String>,
}

/// Reads a command line. A first word with a slash is a file of the app that can be executed, or a program of the node by its whole
/// path; one without is looked up in PATH, which begins with the virtual environment.
pub fn parse(app_dir: &Path, text: &str) -> Result<CommandLine, String> {
    let mut words = shlex::split(text).ok_or("a quote or a backslash at the end is not closed")?;
    let program = words.first_mut().filter(|program| !program.is_empty()).ok_or("the command is missing")?;
    if program.starts_with('/') || !program.contains('/') {
        return Ok(CommandLine { words, file: None });
    }
    let file = paths::app_path(app_dir, program, Is::File)?;
    let mode = std::fs::metadata(app_dir.join(&file)).map_or(0, |found| found.permissions().mode());
    if mode & 0o100 == 0 {
        return Err(format!(
            "{file:?} cannot be executed: chmod +x it, or name what runs it first, as in `python3 {file}`"
        ));
    }
    *program = format!("./{file}");
    Ok(CommandLine { words, file: Some(file) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_a_shells_and_files_are_there() {
        let dir = tempfile::tempdir().unwrap();
        for (name, mode) in [("plain.py", 0o644), ("server", 0o755)] {
            std::fs::write(dir.path().join(name), "").unwrap();
            std::fs::set_permissions(dir.path().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let words = |text: &str| parse(dir.path(), text).map(|line| line.words);
        let list = |words: &[&str]| Ok(words.iter().map(|word| (*word).to_owned()).collect());
        assert_eq!(words("uvicorn app:x --port $PORT"), list(&["uvicorn", "app:x", "--port", "$PORT"]));
        assert_eq!(words(r#"echo 'a b' "$(id)" \;"#), list(&["echo", "a b", "$(id)", ";"]));
        assert_eq!(words("/usr/bin/node s.js"), list(&["/usr/bin/node", "s.js"]));
        assert_eq!(words("./server -v"), list(&["./server", "-v"]));
        assert_eq!(parse(dir.path(), "./server").unwrap().file.as_deref(), Some("server"));
        assert!(words("./plain.py").unwrap_err().contains("chmod +x"));
        for bad in ["", "''", "a 'b", "../x", "./no"] {
            assert!(words(bad).is_err(), "{bad:?}");
        }
    }
}
