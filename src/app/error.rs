//! Why an app's directory cannot be deployed.

use std::io;
use std::path::PathBuf;

use crate::error::{Explain, Kind};

/// How many files a message names.
const SHOWN: usize = 20;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path:?} changed while it was sent")]
    Changed { path: String },
    #[error("{path:?} is gone since the directory was read")]
    Gone { path: String },
    #[error("{}", lines(.0))]
    Unfit(Vec<Unfit>),
    #[error("{}:{line}: {message}", file.display())]
    IgnoreFile { file: PathBuf, line: usize, message: String },
    #[error("{} is not a directory", .0.display())]
    NotADirectory(PathBuf),
    #[error("cannot read {path:?}: {source}")]
    Read { path: String, source: io::Error },
    #[error("the template of {path} is broken: {message}")]
    Template { path: String, message: String },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// Whoever takes the payload does not take more of it.
    #[error("sending the files failed: {0}")]
    Send(#[source] io::Error),
}

/// A file that cannot travel.
#[derive(Debug, thiserror::Error)]
#[error("{path:?} {why}")]
pub struct Unfit {
    /// Relative to the app; what is not UTF-8 in it is replaced.
    pub path: String,
    pub why: String,
}

impl Explain for Error {
    fn kind(&self) -> Kind {
        match self {
            Error::Unfit(_) | Error::IgnoreFile { .. } | Error::NotADirectory(_) => Kind::Usage,
            _ => Kind::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Changed { .. } | Error::Gone { .. } => {
                Some("Something writes into the app's directory: run the command again when it is done.".to_owned())
            }
            Error::Unfit(_) => Some("What shall not travel is named in .cloudtoolignore.".to_owned()),
            _ => None,
        }
    }
}

fn lines(files: &[Unfit]) -> String {
    let mut lines: Vec<String> = files.iter().take(SHOWN).map(Unfit::to_string).collect();
    if files.len() > SHOWN {
        lines.push(format!("and {} more", files.len() - SHOWN));
    }
    lines.join("\n")
}
