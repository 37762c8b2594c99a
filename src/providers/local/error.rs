//! What can go wrong on this machine: the facts, the sentence and the hint.

use std::io;
use std::path::PathBuf;

use crate::error::{Explain, Kind};

/// A failure of the local provider. Variants in alphabetical order.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The node ended while it booted; `console` is the end of what it wrote.
    #[error("the node {name} does not boot: {console}")]
    Boot { name: String, console: String },

    /// A program we ran failed; `output` is the end of what it wrote.
    #[error("{program} failed: {output}")]
    Command { program: String, output: String },

    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },

    #[error("the programs {} are missing", .0.join(", "))]
    MissingPrograms(Vec<&'static str>),

    #[error("local nodes need Linux and root")]
    NeedsRoot,

    #[error("all addresses or ports for local nodes are taken")]
    NothingFree,

    #[error("the node's description {} cannot be read: {reason}", .path.display())]
    Record { path: PathBuf, reason: String },

    #[error("the node {0} does not end, not even when it is killed")]
    StillRunning(String),
}

impl LocalError {
    /// For `map_err`: an I/O error with what was being done.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> LocalError {
        let what = what.into();
        move |source| LocalError::Io { what, source }
    }
}

impl Explain for LocalError {
    fn kind(&self) -> Kind {
        match self {
            LocalError::NeedsRoot | LocalError::MissingPrograms(_) => Kind::Usage,
            _ => Kind::Provider,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            LocalError::Command { program, .. } if program == "mmdebstrap" => Some(
                "Images are built from a package mirror: check the network, or name another one in CLOUDTOOL_LOCAL_MIRROR."
                    .into(),
            ),
            LocalError::MissingPrograms(_) => {
                Some(format!("Install them: `apt-get install {}`.", super::tools::PACKAGES.join(" ")))
            }
            LocalError::NeedsRoot => {
                Some("Run it with sudo, or set up a server you have: `cloudtool setup-node HOST`.".into())
            }
            LocalError::NothingFree => Some("`cloudtool destroy-node` frees one.".into()),
            LocalError::Record { path, .. } => path
                .parent()
                .and_then(|dir| dir.file_name())
                .map(|name| format!("`cloudtool destroy-node {}` takes the node away.", name.display())),
            _ => None,
        }
    }
}
