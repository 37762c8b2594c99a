//! What we know between two runs: nodes, which locations they serve, settings, events. SQLite in the user's data directory.
//!
//! In come what the providers and nodes told, out go records. Nothing here is the truth about a node (that is on the node);
//! everything can be learned again, so a damaged file is set aside and a new one begun. Several processes may use it at once.

mod error;
mod events;
pub mod known_hosts;
mod labels;
mod locations;
mod nodes;
mod open;

pub use error::{Error, Result};
pub use events::{Event, NewEvent};
pub use known_hosts::KnownHosts;
pub use nodes::NodeRecord;
pub use open::{Damaged, Inventory};
