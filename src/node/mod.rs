//! A server over SSH: where it is, whether it is the one we know, and a conversation with the program on it.
//!
//! In come a [`Destination`] and requests (JSON), out come [`Event`]s. Nothing here knows what an app is, or that there is a terminal.

mod destination;
mod error;
mod exec;
mod host_keys;
mod inside;
mod login;
mod outgoing;
mod program;
mod protocol;
mod services;
mod session;
mod store;

pub use destination::{Destination, Proxy};
pub(crate) use error::without_brackets;
pub use error::{Error, NodeError};
pub use exec::{OnOutput, Output};
pub use host_keys::{HostKeys, UnknownKey};
pub use inside::{Ends, Terminal};
pub use login::log_in;
pub use program::Program;
pub use protocol::{Conversation, Event, Payload, PayloadWriter};
pub use services::Services;
pub use session::Session;
pub use store::Store;
