//! Where the value of a setting comes from: never from the command line itself, which others on the machine can read.

use std::io::Read;
use std::path::PathBuf;
use std::str::FromStr;

use super::paths::expand_home;
use super::{referred, values};
use crate::names::Secret;

/// `env:VAR`, `file:PATH`, `command:WORDS`, or `-` for standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Env(String),
    File(PathBuf),
    Command(String),
    Stdin,
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            _ if text == "-" => Ok(Source::Stdin),
            Some(("env", name)) if !name.is_empty() => Ok(Source::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Source::File(expand_home(path))),
            Some(("command", words)) if !words.trim().is_empty() => Ok(Source::Command(words.to_owned())),
            // What was said may be the value itself: it is not repeated.
            _ => Err("a value is not said on the command line, where others can read it: \
                 say env:VARIABLE, file:PATH, command:WORDS, or - for standard input"
                .to_owned()),
        }
    }
}

impl Source {
    /// The value. One newline at the end of a file, of standard input and of what a command prints is not a part of it: editors
    /// and programs add one.
    ///
    /// # Errors
    /// A sentence, without the value, when it cannot be had or cannot be a variable's.
    pub fn read(&self) -> Result<Secret, String> {
        let text = match self {
            Source::Env(name) => std::env::var(name).map_err(|error| match error {
                std::env::VarError::NotPresent => format!("the variable {name} is not set here"),
                std::env::VarError::NotUnicode(_) => format!("the variable {name} is not valid UTF-8"),
            })?,
            Source::File(path) => {
                let file = std::fs::File::open(path);
                limited(file.map_err(|error| format!("{} cannot be read: {error}", path.display()))?)?
            }
            Source::Command(line) => without_newline(referred::output_of(line)?),
            Source::Stdin => limited(std::io::stdin().lock())?,
        };
        values::variable_value(&text)?;
        Ok(Secret::new(text))
    }
}

/// All of it, or as much as shows that it is too much.
fn limited(source: impl Read) -> Result<String, String> {
    let mut bytes = Vec::new();
    let most = values::VARIABLE_MAX as u64 + 2;
    source.take(most).read_to_end(&mut bytes).map_err(|error| format!("the value cannot be read: {error}"))?;
    if bytes.len() as u64 == most {
        return Err(values::too_large());
    }
    String::from_utf8(bytes)
        .map(without_newline)
        .map_err(|_| "the value is not valid UTF-8, and variables are".to_owned())
}

fn without_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_never_said_itself() {
        for said in ["hunter2", "", "env:", "file:", "command: ", "http://x", "password:x"] {
            let refused = said.parse::<Source>().unwrap_err();
            assert!(
                refused.starts_with("a value is not said") && (said.len() < 7 || !refused.contains(said)),
                "{refused}"
            );
        }
        assert_eq!("-".parse(), Ok(Source::Stdin));
        assert_eq!("env:A".parse(), Ok(Source::Env("A".to_owned())));
        assert_eq!("command:pass show x".parse(), Ok(Source::Command("pass show x".to_owned())));
    }

    #[test]
    fn values_are_read_byte_for_byte_but_for_one_newline() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("value");
        for (written, read) in [
            ("a", Ok("a")),
            ("a\n", Ok("a")),
            ("a\n\n", Ok("a\n")),
            (" $(x) 'y' \"z\" \\ \u{e9}\t", Ok(" $(x) 'y' \"z\" \\ \u{e9}\t")),
            ("", Ok("")),
            ("a\r\n", Err("the value has the control character U+000D, which systemd would drop")),
            ("a\0b", Err("the value has the control character U+0000, which systemd would drop")),
        ] {
            std::fs::write(&path, written).unwrap();
            let got = Source::File(path.clone()).read();
            assert_eq!(got.as_ref().map(Secret::expose).map_err(String::as_str), read, "{written:?}");
        }
        std::fs::write(&path, "x".repeat(values::VARIABLE_MAX) + "\n").unwrap();
        assert!(Source::File(path.clone()).read().is_ok());
        for (written, refused) in [(vec![b'x'; 1 << 20], "at most 64 KiB"), (vec![0xff, 0xfe], "not valid UTF-8")] {
            std::fs::write(&path, written).unwrap();
            let said = Source::File(path.clone()).read().unwrap_err();
            assert!(said.contains(refused), "{said}");
        }
        assert_eq!(Source::Command("printf 'a b\\n\\n'".to_owned()).read().unwrap().expose(), "a b\n");
        assert!(Source::Command("false".to_owned()).read().unwrap_err().contains("false failed"));
        assert!(Source::Env("CLOUDTOOL_NO_SUCH".to_owned()).read().unwrap_err().contains("is not set here"));
    }
}
