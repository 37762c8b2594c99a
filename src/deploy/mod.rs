//! What to do on a node, and doing it.
//!
//! Deciding is pure: [`Plan`] is computed from what is to be deployed ([`Source`]), what the node says ([`Probe`]) and what
//! the user asked for. Doing is thin: [`Remote`] carries the requests over and hands the events on.

pub mod contents;
mod lent;
mod outdated;
mod plan;
mod probe;
mod remote;
mod settings_diff;
mod slot_conf;
mod source;

pub use lent::{Lent, Place, lent};
pub use plan::{Action, Basis, Besides, FORMAT, MadeFrom, Plan, Upload};
pub use probe::{AppFacts, Lock, NodeFacts, Probe};
pub use remote::{Installed, Remote};
pub use settings_diff::Names;
pub use source::Source;

use crate::error::{Explain, Kind};
use crate::names::AppName;

/// Why an app cannot be planned or deployed from here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{location} belongs to the app {owner} on {node}")]
    LocationTaken { location: String, owner: String, node: String },
    #[error("{app} needs {} to be set on {node} (config.required in its app.ini)", names.join(", "))]
    Unset { app: AppName, node: String, names: Vec<String> },
    #[error("the slot's Apache configuration cannot be rendered: {0}")]
    Template(String),
    #[error("{node} gave facts that cannot be read: {reason}")]
    Facts { node: String, reason: String },
}

impl Explain for Error {
    fn kind(&self) -> Kind {
        match self {
            Error::LocationTaken { .. } | Error::Unset { .. } => Kind::Usage,
            Error::Template(_) | Error::Facts { .. } => Kind::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::LocationTaken { location, .. } => {
                Some(format!("choose another --host, or take it from that app first: cloudtool deactivate {location}"))
            }
            Error::Unset { app, node, names } => {
                Some(format!("cloudtool config {app} set {} SOURCE --node {node}", names.first()?))
            }
            Error::Facts { node, .. } => Some(format!("run: cloudtool setup-node {node}")),
            Error::Template(_) => None,
        }
    }
}
