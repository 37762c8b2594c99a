//! What can go wrong with a provider: the facts, the sentence and the hint.

use std::time::Duration;

use super::http::{Reason, Refusal};
use super::local::LocalError;
use super::node::NodeState;
use crate::error::{Explain, Kind};

pub type Result<T> = std::result::Result<T, Error>;

/// A provider's failure. Variants in alphabetical order.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{pattern:?} matches {} {what}s of {provider}: {}", .found.len(), .found.join(", "))]
    Ambiguous { provider: String, what: &'static str, pattern: String, found: Vec<String> },

    #[error("{provider} has {} nodes named {name}: {}", .ids.len(), .ids.join(", "))]
    AmbiguousName { provider: String, name: String, ids: Vec<String> },

    /// The API refused an order, or answered something that cannot be understood.
    #[error("{provider}: {message}")]
    Api { provider: String, message: String },

    #[error("{pattern:?} is not a valid pattern for {what}s: {message}")]
    BadPattern { what: &'static str, pattern: String, message: String },

    #[error("{text:?} says nothing about a size: {reason}")]
    BadWish { text: String, reason: String },

    /// A setting of a provider is missing or cannot be right; nothing was sent.
    #[error("{message}")]
    Credentials { message: String },

    #[error(transparent)]
    Local(#[from] LocalError),

    #[error("{provider} has a node named {name} already")]
    NameTaken { provider: String, name: String },

    #[error("{provider} has no {what} that matches {pattern:?}")]
    NoMatch { provider: String, what: &'static str, pattern: String, nearest: Option<String> },

    /// The API did not answer.
    #[error("{provider}: no answer from {origin} to {request}: {message}")]
    NoAnswer {
        provider: String,
        origin: String,
        request: String,
        message: String,
        /// The request may have been carried out.
        in_doubt: bool,
    },

    #[error("the node {name} (id {id}) is in state {state}{}", .reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default())]
    NodeFailed { name: String, id: String, state: NodeState, reason: Option<String> },

    /// The API's host is not known to anybody. `from` is what its name follows from.
    #[error("{provider}: {from} leads to {host}, which is not found: {message}")]
    NoSuchHost { provider: String, host: String, from: String, message: String },

    #[error("{provider} has no node {id}")]
    NoSuchNode { provider: String, id: String },

    #[error("there is no provider {name:?}")]
    NoSuchProvider { name: String },

    /// There is none that could be taken without being asked for.
    #[error("{provider} has no {what} to take unless one is named")]
    NotNamed { provider: String, what: &'static str },

    #[error("{0}")]
    Refused(Box<Refusal>),

    #[error("the node {name} (id {id}) is still {state} after {} s", .after.as_secs())]
    Timeout { name: String, id: String, state: NodeState, after: Duration },

    #[error("the provider {provider} cannot {what}")]
    Unsupported { provider: String, what: &'static str, hint: Option<String> },
}

impl Explain for Error {
    fn kind(&self) -> Kind {
        match self {
            Error::Ambiguous { .. }
            | Error::AmbiguousName { .. }
            | Error::BadPattern { .. }
            | Error::BadWish { .. }
            | Error::Credentials { .. }
            | Error::NameTaken { .. }
            | Error::NoMatch { .. }
            | Error::NoSuchNode { .. }
            | Error::NoSuchProvider { .. }
            | Error::NotNamed { .. }
            | Error::Unsupported { .. } => Kind::Usage,
            Error::Api { .. }
            | Error::NoAnswer { .. }
            | Error::NodeFailed { .. }
            | Error::NoSuchHost { .. }
            | Error::Timeout { .. } => Kind::Provider,
            Error::Refused(refusal) => match refusal.reason {
                Reason::Credentials | Reason::Forbidden => Kind::Authentication,
                _ => Kind::Provider,
            },
            Error::Local(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Ambiguous { what, .. } => Some(format!("Write one of them, or a narrower --{what} pattern.")),
            Error::AmbiguousName { .. } => Some("Write the id instead of the name.".into()),
            Error::Api { .. } => None,
            Error::BadPattern { .. } => Some("Patterns are *, ? and [abc], as in a shell.".into()),
            Error::BadWish { .. } => Some("Write e.g. --size 'ram>=2G,cpus>=2,disk>=40G,price<10,cheapest'.".into()),
            Error::Credentials { .. } => Some("`cloudtool configure` asks for the settings and tries them.".into()),
            Error::Local(error) => error.hint(),
            Error::NameTaken { name, .. } => {
                Some(format!("Take another name, use --if-not-exists, or run `cloudtool destroy-node {name}` first."))
            }
            Error::NoMatch { provider, what, nearest, .. } => {
                let list = format!("`cloudtool list-{what}s --provider {provider}` shows all of them.");
                Some(match nearest {
                    Some(nearest) => format!("Did you mean {nearest}? {list}"),
                    None => list,
                })
            }
            Error::NoAnswer { provider, .. } => Some(format!(
                "Is the network up? Where the API is follows from `endpoint` and `region` of [provider:{provider}], or the cloud's own variables."
            )),
            Error::NodeFailed { name, .. } => Some(format!("`cloudtool destroy-node {name}` takes it away.")),
            Error::NoSuchHost { .. } => Some("Is that right, and is the network up?".into()),
            Error::NoSuchNode { provider, .. } => {
                Some(format!("`cloudtool list-nodes --provider {provider}` shows those it has."))
            }
            Error::NoSuchProvider { .. } => Some(format!("Providers are {}.", super::driver_names().join(", "))),
            Error::NotNamed { provider, what } => Some(format!(
                "Say which with --{what}: `cloudtool list-{what}s --provider {provider}` shows all of them."
            )),
            Error::Refused(refusal) => match refusal.reason {
                Reason::Credentials => Some(format!("They are from {}.", refusal.credentials)),
                Reason::Forbidden => Some(format!("What {} may do is set at the cloud.", refusal.credentials)),
                Reason::Quota => Some("Destroy what is not needed, or ask the cloud for a higher limit.".into()),
                Reason::Throttled => Some("Too many requests: try again in a minute.".into()),
                _ => None,
            },
            Error::Timeout { name, .. } => {
                Some(format!("It may still come up: see `cloudtool list-nodes`, or `cloudtool destroy-node {name}`."))
            }
            Error::Unsupported { hint, .. } => hint.clone(),
        }
    }
}

impl Error {
    /// Whether the API says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::Refused(refusal) if refusal.reason == Reason::NotFound)
    }

    /// Whether an order may have been carried out although it failed.
    pub fn leaves_doubt(&self) -> bool {
        match self {
            Error::NoAnswer { in_doubt, .. } => *in_doubt,
            Error::Refused(refusal) => refusal.reason == Reason::Trouble,
            _ => false,
        }
    }
}
