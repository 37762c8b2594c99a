use clap::Args;
use serde_json::json;

use super::clouds::{ask_all, tell_down};
use super::context::Context;
use crate::error::Failure;
use crate::inventory::{Inventory, KnownHosts, NodeRecord};
use crate::providers::{Node, NodeState, hosts};

/// Ask all clouds for their nodes and bring the inventory up to date
///
/// Afterwards every node of the accounts can be named in commands, and `list-nodes --cached` shows it. Nodes that are gone are forgotten;
/// those of a cloud that does not answer are kept.
#[derive(Debug, Args)]
pub(super) struct Refresh {}

pub(super) fn run(context: &Context, _args: Refresh) -> Result<(), Failure> {
    let answers = ask_all(context, |cloud| cloud.nodes())?;
    let asked = answers.told.len() + answers.down.len();
    let mut inventory = context.inventory()?;
    let (mut total, mut new, mut gone) = (0, Vec::new(), Vec::new());
    for (cloud, nodes) in answers.told {
        let alive: Vec<Node> = nodes.into_iter().filter(|node| node.state != NodeState::Terminated).collect();
        total += alive.len();
        for node in &alive {
            if learn(&inventory, node)? {
                new.push(node.name.clone());
            }
        }
        let known = inventory.nodes()?;
        // Of plain hosts only the inventory knows; there is no list they could be missing from.
        let missing = known.iter().filter(|known| {
            known.provider == cloud.name()
                && known.provider != hosts::NAME
                && !alive.iter().any(|node| node.id == known.id)
        });
        for record in missing {
            forget(&mut inventory, record)?;
            gone.push(record.name.clone());
        }
    }
    context.ui.answer(&json!({"nodes": total, "new": new, "gone": gone}), |ui| {
        ui.line(format!("known nodes: {total}"));
        for name in &new {
            ui.line(format!("  new: {name}"));
        }
        for name in &gone {
            ui.line(format!("  gone: {name}"));
        }
    });
    tell_down(context, answers.down, asked)
}

/// Writes a node down. True when it was not known.
fn learn(inventory: &Inventory, node: &Node) -> Result<bool, Failure> {
    let known = inventory.get_node(&node.provider, &node.id)?;
    let is_new = known.is_none();
    let before = known.as_ref().map(|known| (known.address.clone(), known.port));
    let record = NodeRecord::of(node, known);
    // Its keys are the same at its new address.
    if before != Some((record.address.clone(), record.port))
        && let Some(address) = &record.address
        && !record.host_keys.is_empty()
    {
        KnownHosts::open()?.pin(address, record.port, &record.host_keys)?;
    }
    inventory.upsert_node(&record)?;
    Ok(is_new)
}

/// Forgets a node that is gone, and the host keys of an address that is somebody else's from now on.
fn forget(inventory: &mut Inventory, record: &NodeRecord) -> Result<(), Failure> {
    if let Some(address) = &record.address {
        KnownHosts::open()?.forget(address, record.port)?;
    }
    inventory.remove_node(&record.provider, &record.id)?;
    Ok(())
}
