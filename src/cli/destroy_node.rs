use clap::Args;
use serde_json::json;

use super::clouds::{self, Found};
use super::context::Context;
use super::create_node::Told;
use super::ranges;
use super::several::{self, Failures};
use super::unfinished::forget;
use crate::error::Failure;

/// Destroy nodes with everything on them
///
/// Asks to type each name. A host that was set up by its address is only forgotten.
#[derive(Debug, Args)]
pub(super) struct DestroyNode {
    /// The nodes' names or ids; `web{1..3}` is web1 web2 web3
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// A node that is not there is not an error
    #[arg(long)]
    if_exists: bool,
}

pub(super) fn run(context: &Context, args: DestroyNode) -> Result<(), Failure> {
    let names = ranges::expand_all(&args.names)?;
    let found = clouds::find(context, &names)?;
    let mut failures = Failures::default();
    let mut nodes = Vec::new();
    for (name, found) in names.iter().zip(found) {
        match found {
            Ok(Some(found)) => nodes.push(found),
            Ok(None) if args.if_exists => {}
            Ok(None) => failures.add(&context.ui, names.len(), clouds::no_such_node(name)),
            Err(failure) => failures.add(&context.ui, names.len(), failure),
        }
    }
    for Found { cloud, node } in &nodes {
        let what = if cloud.capabilities().destroy {
            format!("{} at {} is destroyed with all its apps and data.", node.name, cloud.name())
        } else {
            format!("{} is forgotten; the server itself stays as it is.", node.name)
        };
        context.ui.confirm_by_name(&what, &node.name)?;
    }
    let destroy = |Found { cloud, node }: &Found| {
        if !cloud.capabilities().destroy {
            return Ok("forgotten");
        }
        let ui = if nodes.len() > 1 { context.ui.for_one_of_several(&node.name) } else { context.ui.clone() };
        cloud.destroy(&node.id, &Told(&ui)).map(|()| "destroyed")
    };
    let mut lost = Ok(());
    several::each(&nodes, several::LIMIT, destroy, |Found { cloud, node }, answer| match answer {
        Ok(what) => {
            context.record("destroy-node", Some(&node.name), None, "done", Some(&node.id));
            context.ui.event(&json!({"event": what, "node": node.name, "provider": cloud.name(), "id": node.id}));
            context.ui.say(format!("{} is {what}", node.name));
            let forgotten = context.inventory().and_then(|mut inventory| forget(&mut inventory, node));
            if let Err(failure) = forgotten {
                lost = Err(failure);
            }
        }
        Err(error) => {
            let failure = Failure::from(error);
            context.record("destroy-node", Some(&node.name), None, "failed", Some(&failure.message));
            failures.add(&context.ui, names.len(), failure);
        }
    });
    failures.outcome(names.len()).and(lost)
}
