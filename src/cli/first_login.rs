//! The first login to a node from here.

use super::context::Context;
use super::host_key;
use crate::error::Failure;
use crate::inventory::NodeRecord;
use crate::node::{self, Destination, Session};

/// Logs in as whom the node's image lets in, replaces a host key that went through other hands, and remembers both.
pub(super) fn log_in(context: &Context, node: &NodeRecord, destination: &Destination) -> Result<Session, Failure> {
    let mut session = context.with_host_keys(|keys| Ok(node::log_in(destination, keys)?))?;
    let user = session.destination().user.clone();
    if user != destination.user {
        context.ui.say(format!("  {} lets in {user}, not {}", node.name, destination.user));
    }
    let mut record = NodeRecord { user: Some(user), met: true, ..node.clone() };
    if node.key_made_here {
        match host_key::replace(&mut session) {
            Ok(key) => {
                record.host_keys = vec![key];
                record.key_made_here = false;
            }
            // It is the node's key all the same; the next login tries again.
            Err(failure) => {
                record.met = false;
                context.ui.warn(&format!("the first host key of {} was not replaced: {failure}", node.name));
            }
        }
    }
    let inventory = context.inventory()?;
    if inventory.get_node(&node.provider, &node.id)?.is_some() {
        inventory.upsert_node(&record)?;
    }
    Ok(session)
}
