use clap::Args;

use super::clouds::{ask_all, tell_down};
use super::context::Context;
use crate::error::Failure;
use crate::inventory::NodeRecord;
use crate::providers::{Node, NodeState};
use crate::ui::Table;

/// List the nodes of every configured provider, and the hosts that were set up
///
/// All clouds are asked at the same time. One that does not answer has an error of its own, and the exit code says so; the nodes of the
/// others are listed all the same.
#[derive(Debug, Args)]
pub(super) struct ListNodes {
    /// Ask nobody: what was known last (`cloudtool refresh` asks and remembers)
    #[arg(long)]
    cached: bool,
}

pub(super) fn run(context: &Context, args: ListNodes) -> Result<(), Failure> {
    if args.cached {
        let records = context.inventory()?.nodes()?;
        let nodes: Vec<Node> = records.iter().map(NodeRecord::as_node).collect();
        return show(context, &nodes);
    }
    let answers = ask_all(context, |cloud| cloud.nodes())?;
    let asked = answers.told.len() + answers.down.len();
    let nodes: Vec<Node> = answers.told.into_iter().flat_map(|(_, nodes)| nodes).collect();
    remember_states(context, &nodes)?;
    if !answers.down.is_empty() && asked == 1 {
        return tell_down(context, answers.down, asked);
    }
    show(context, &nodes)?;
    tell_down(context, answers.down, asked)
}

/// Brings the nodes that the inventory knows up to date there. New ones are left to `refresh`: not all of an account are ours.
fn remember_states(context: &Context, nodes: &[Node]) -> Result<(), Failure> {
    let inventory = context.inventory()?;
    for node in nodes.iter().filter(|node| node.state != NodeState::Terminated) {
        if let Some(known) = inventory.get_node(&node.provider, &node.id)? {
            inventory.upsert_node(&NodeRecord::of(node, Some(known)))?;
        }
    }
    Ok(())
}

fn show(context: &Context, nodes: &[Node]) -> Result<(), Failure> {
    let default = context.inventory()?.default_node()?;
    context.ui.answer(&nodes, |ui| {
        let mut table = Table::new(&["NAME", "PROVIDER", "STATE", "PUBLIC", "PRIVATE", "IMAGE", "SIZE", "LOCATION"]);
        for node in nodes {
            table.row(cells(node, default.as_deref()));
        }
        table.print(ui);
        if nodes.is_empty() {
            ui.say("There is no node yet. Make one: cloudtool create-node NAME --setup-node");
        } else if default.is_some() {
            ui.say("* is the default node");
        }
    });
    Ok(())
}

fn cells(node: &Node, default: Option<&str>) -> [String; 8] {
    let ips = |ips: &[std::net::IpAddr]| ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let mark = if default == Some(&node.name) { "*" } else { "" };
    [
        format!("{}{mark}", node.name),
        node.provider.clone(),
        node.state.to_string(),
        ips(&node.public_ips),
        ips(&node.private_ips),
        node.image.clone().unwrap_or_default(),
        node.size.clone().unwrap_or_default(),
        node.location.clone().unwrap_or_default(),
    ]
}
