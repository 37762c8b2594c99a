use clap::Args;

use super::context::Context;
use crate::error::Failure;
use crate::providers::Node;
use crate::ui::Table;

/// List the nodes of every configured provider, and the hosts that were set up
#[derive(Debug, Args)]
pub(super) struct ListNodes {}

pub(super) fn run(context: &Context, _args: ListNodes) -> Result<(), Failure> {
    let mut nodes: Vec<Node> = Vec::new();
    for provider in context.providers()? {
        nodes.extend(provider.nodes()?);
    }
    let default = context.inventory()?.default_node()?;
    context.ui.answer(&nodes, |ui| {
        let mut table = Table::new(&["NAME", "PROVIDER", "STATE", "PUBLIC", "PRIVATE", "IMAGE", "SIZE", "LOCATION"]);
        for node in &nodes {
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
