//! `doctor`: what is wrong with this machine, with nodes and with their apps. Nodes and apps are looked at by the node program's verb
//! of the same name; what only we can see is beside it: whether a node is reached, its clock against ours, where names lead.

mod finding;
mod machine;
mod names;
mod node;

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::data::Target;
use super::several;
use super::ssh::is_app;
use super::where_from::Nodes;
use crate::error::{Failure, Kind};
use crate::inventory::NodeRecord;
use crate::ui::Ui;
pub(super) use finding::Subject;
#[cfg(test)]
pub(super) use finding::{Check, Finding};
pub(super) use machine::examine as machine;
pub(super) use node::subjects;

/// Look for what is wrong with this machine, the nodes and the apps
///
/// Each finding comes with the command that mends it. Without a name all known nodes are looked at, with all of their apps. Nothing is
/// changed. The exit code is 0 when all is well, and 1 when something was found, also when that is a node that does not answer.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// The node, the app, or a location it serves
    #[arg(value_name = "NODE|APP|LOCATION")]
    name: Option<String>,
    #[command(flatten)]
    nodes: Nodes,
}

pub(super) fn run(context: &Context, args: Doctor) -> Result<(), Failure> {
    let (nodes, target) = asked(context, &args)?;
    let mut subjects = vec![machine::examine(context)];
    let filter: Vec<String> = target.iter().map(ToString::to_string).collect();
    let mut of_nodes: Vec<(&str, Vec<Subject>)> = Vec::new();
    let examine = |node: &NodeRecord| node::examine(context, node, &filter);
    several::each(&nodes, several::LIMIT, examine, |node, found| of_nodes.push((&node.name, found)));
    of_nodes.sort_by_key(|(node, _)| *node);
    subjects.extend(of_nodes.into_iter().flat_map(|(_, found)| found));
    if let Some(target) = target
        && !nodes.is_empty()
        && subjects.iter().all(|subject| subject.app.is_none() && subject.was_reached())
    {
        let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        return Err(Failure::new(Kind::Usage, format!("there is no {target} on {}", names.join(", ")))
            .hint("cloudtool status shows all apps, cloudtool list-nodes all nodes"));
    }
    let found = subjects.iter().flat_map(Subject::findings).count();
    context.ui.answer(&json!({"findings": found, "subjects": subjects}), |ui| show(ui, &subjects, found));
    // The findings have been told.
    if found == 0 { Ok(()) } else { Err(Failure::told_already(Kind::Failed)) }
}

/// Which nodes, and which app of theirs where one was meant.
fn asked(context: &Context, args: &Doctor) -> Result<(Vec<NodeRecord>, Option<Target>), Failure> {
    let Some(name) = &args.name else {
        let nobody_known = !args.nodes.are_named() && context.inventory()?.nodes()?.is_empty();
        return match args.nodes.all(context) {
            // Then this machine is all there is to look at.
            Err(_) if nobody_known => Ok((Vec::new(), None)),
            nodes => Ok((nodes?, None)),
        };
    };
    if !args.nodes.are_named()
        && !is_app(context, name)?
        && let Some(node) = context.inventory()?.find_node(name)?
    {
        return Ok((vec![node], None));
    }
    let target: Target = name.parse()?;
    Ok((args.nodes.serving(context, &target)?, Some(target)))
}

/// A line for each subject, and one for each finding; with `-v` one for each check.
fn show(ui: &Ui, subjects: &[Subject], found: usize) {
    for subject in subjects {
        ui.line(subject.summary());
        for line in subject.lines(ui.is_verbose()) {
            ui.line(format!("  {line}"));
        }
    }
    if found == 0 {
        ui.say("Nothing is wrong.");
    }
}
