//! What can go wrong with the inventory.

use std::io;
use std::path::PathBuf;

use crate::error::{Explain, Kind};

pub type Result<T> = std::result::Result<T, Error>;

/// A failure of the inventory. Variants in alphabetical order.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what} is on several nodes: {}", .nodes.join(", "))]
    Ambiguous { what: String, nodes: Vec<String> },

    #[error("the inventory {} cannot be used", .path.display())]
    Database { path: PathBuf, source: rusqlite::Error },

    #[error("{}", .path.display())]
    File { path: PathBuf, source: io::Error },

    #[error("there is no home directory to keep the inventory in")]
    NoDirectory,

    #[error("the inventory {} was written by a newer cloudtool (version {found} of its tables, this program knows {known})", .path.display())]
    TooNew { path: PathBuf, found: i64, known: i64 },
}

impl Explain for Error {
    fn kind(&self) -> Kind {
        match self {
            Error::Ambiguous { .. } => Kind::Usage,
            _ => Kind::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Ambiguous { .. } => Some("Say which with --node.".into()),
            Error::Database { .. } => None,
            Error::File { .. } | Error::NoDirectory => {
                Some("CLOUDTOOL_DATA_DIR names another directory to keep it in.".into())
            }
            Error::TooNew { .. } => {
                Some("Upgrade this cloudtool, or name another directory with CLOUDTOOL_DATA_DIR.".into())
            }
        }
    }
}
