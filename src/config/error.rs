//! What can be wrong with a configuration file, in words.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::error::{Explain, Kind};

/// How many problems a message lists.
pub const SHOWN: usize = 200;

/// One thing that is wrong, and where. Prints as `app.ini:7: production.plattform: unknown key, did you mean "platform"?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub file: PathBuf,
    /// Counted from 1; none when it is about something that is not in the file.
    pub line: Option<usize>,
    /// `section.key`, `[section]`, or empty.
    pub key: String,
    /// What is wrong and what is allowed.
    pub message: String,
    /// The name that was probably meant.
    pub suggestion: Option<String>,
}

/// Something that is allowed, but probably not what the user wants. Prints like a [`Problem`].
pub type Warning = Problem;

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)?;
        match &self.suggestion {
            Some(name) => write!(f, ", did you mean {name:?}?"),
            None => Ok(()),
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} is readable by others, and it holds a secret", .0.display())]
    Exposed(PathBuf),
    #[error("there is no app.ini in {}", .0.display())]
    NoAppIni(PathBuf),
    #[error("{}", lines(.0))]
    Problems(Vec<Problem>),
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} has {size} bytes; a configuration file has at most {limit}", path.display())]
    TooBig { path: PathBuf, size: u64, limit: u64 },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl Explain for Error {
    fn kind(&self) -> Kind {
        Kind::Usage
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Exposed(path) => Some(format!("Run: chmod 600 {}", shell_word(path))),
            Error::NoAppIni(dir) => {
                Some(format!("`cloudtool init {}` writes one, with a running hello app.", shell_word(dir)))
            }
            _ => None,
        }
    }
}

/// A path as one would type it.
fn shell_word(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    shlex::try_quote(&text).map(|quoted| quoted.into_owned()).unwrap_or(text)
}

/// One problem a line.
fn lines(problems: &[Problem]) -> String {
    let mut lines: Vec<String> = problems.iter().take(SHOWN).map(Problem::to_string).collect();
    if problems.len() > SHOWN {
        lines.push(format!("and {} more problems", problems.len() - SHOWN));
    }
    lines.join("\n")
}

/// The candidate that is close enough to `name` to be a slip of the keyboard.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    // Comparing is quadratic in the length; no name of ours is longer.
    if name.len() > 60 {
        return None;
    }
    let name = name.to_lowercase();
    let allowed = 1 + name.chars().count() / 4;
    let comparable = |candidate: &&str| candidate.len().abs_diff(name.len()) <= allowed;
    candidates
        .into_iter()
        .filter(comparable)
        .map(|candidate| (strsim::osa_distance(&name, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}
