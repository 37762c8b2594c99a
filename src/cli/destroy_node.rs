use clap::Args;

use super::context::Context;
use super::create_node::Told;
use crate::error::{Failure, Kind};
use crate::inventory::KnownHosts;
use crate::providers::Node;

/// Destroy nodes with everything on them
///
/// Asks to type each name. A host that was set up by its address is only forgotten.
#[derive(Debug, Args)]
pub(super) struct DestroyNode {
    /// The nodes' names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// A node that is not there is not an error
    #[arg(long)]
    if_exists: bool,
}

pub(super) fn run(context: &Context, args: DestroyNode) -> Result<(), Failure> {
    let mut missing = Vec::new();
    for name in &args.names {
        if !destroy(context, name)? {
            missing.push(name.clone());
        }
    }
    if missing.is_empty() || args.if_exists {
        return Ok(());
    }
    Err(Failure::new(Kind::Usage, format!("no such node: {}", missing.join(", ")))
        .hint("cloudtool list-nodes shows the nodes; another provider is chosen with --provider"))
}

/// False when nobody knows the node.
fn destroy(context: &Context, name: &str) -> Result<bool, Failure> {
    for provider in context.providers()? {
        let Some(node) = provider.find(name)? else { continue };
        if provider.capabilities().destroy {
            context.ui.confirm_by_name(
                &format!("{name} at {} is destroyed with all its apps and data.", provider.name()),
                name,
            )?;
            provider.destroy(&node.id, &Told(&context.ui))?;
            context.ui.say(format!("{name} is destroyed"));
        } else {
            context.ui.confirm_by_name(&format!("{name} is forgotten; the server itself stays as it is."), name)?;
            context.ui.say(format!("{name} is forgotten"));
        }
        forget(context, &node)?;
        context.record("destroy-node", Some(name), None, "done", Some(&node.id));
        return Ok(true);
    }
    Ok(false)
}

fn forget(context: &Context, node: &Node) -> Result<(), Failure> {
    if let Some(address) = &node.access.address {
        KnownHosts::open()?.forget(address, node.access.port)?;
    }
    context.inventory()?.remove_node(&node.provider, &node.id)?;
    Ok(())
}
