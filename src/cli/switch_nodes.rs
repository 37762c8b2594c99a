use clap::Args;
use serde_json::json;

use super::clouds::{self, Found};
use super::context::Context;
use super::create_node::Told;
use super::ranges;
use super::several::{self, Failures};
use crate::error::Failure;
use crate::providers::{Progress, Provider};

/// The arguments of `start-node`, `stop-node`, `reboot-node`, `suspend-node` and `resume-node`.
#[derive(Debug, Args)]
pub(super) struct SwitchNodes {
    /// The nodes' names or ids; `web{1..3}` is web1 web2 web3
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

/// What is done to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Switch {
    Start,
    Stop,
    Reboot,
    Suspend,
    Resume,
}

impl Switch {
    fn verb(self) -> &'static str {
        match self {
            Switch::Start => "start",
            Switch::Stop => "stop",
            Switch::Reboot => "reboot",
            Switch::Suspend => "suspend",
            Switch::Resume => "resume",
        }
    }

    /// What the node does, once the cloud has accepted the order.
    fn doing(self) -> &'static str {
        match self {
            Switch::Start => "starts",
            Switch::Stop => "stops",
            Switch::Reboot => "reboots",
            Switch::Suspend => "is being suspended",
            Switch::Resume => "resumes",
        }
    }

    fn order(self, cloud: &dyn Provider, id: &str, progress: &dyn Progress) -> crate::providers::Result<()> {
        match self {
            Switch::Start => cloud.start(id, progress),
            Switch::Stop => cloud.stop(id, progress),
            Switch::Reboot => cloud.reboot(id, progress),
            Switch::Suspend => cloud.suspend(id, progress),
            Switch::Resume => cloud.resume(id, progress),
        }
    }
}

pub(super) fn run(context: &Context, switch: Switch, args: SwitchNodes) -> Result<(), Failure> {
    let names = ranges::expand_all(&args.names)?;
    let found = clouds::find(context, &names)?;
    let command = format!("{}-node", switch.verb());
    let mut failures = Failures::default();
    let mut nodes = Vec::new();
    for (name, found) in names.iter().zip(found) {
        match found {
            Ok(Some(found)) => nodes.push(found),
            Ok(None) => fail(context, &mut failures, &command, names.len(), name, clouds::no_such_node(name)),
            Err(failure) => fail(context, &mut failures, &command, names.len(), name, failure),
        }
    }
    let order = |Found { cloud, node }: &Found| {
        switch.order(cloud.as_ref(), &node.id, &Told(&context.ui.for_one_of_several(&node.name)))
    };
    several::each(&nodes, several::LIMIT, order, |Found { cloud, node }, answer| match answer {
        Ok(()) => {
            context.record(&command, Some(&node.name), None, "done", Some(&node.id));
            context.ui.event(
                &json!({"event": "done", "verb": command, "node": node.name, "provider": cloud.name(), "id": node.id}),
            );
            context.ui.line(format!("{} {} ({})", node.name, switch.doing(), cloud.name()));
        }
        Err(error) => {
            let failure = Failure::from(error);
            let message = format!("{}: {}", node.name, failure.message);
            fail(context, &mut failures, &command, names.len(), &node.name, Failure { message, ..failure });
        }
    });
    failures.outcome(names.len())
}

fn fail(context: &Context, failures: &mut Failures, command: &str, all: usize, node: &str, failure: Failure) {
    context.record(command, Some(node), None, "failed", Some(&failure.message));
    if all > 1 {
        let (kind, message) = (failure.kind.name(), &failure.message);
        context.ui.event(&json!({"event": "failed", "verb": command, "node": node, "kind": kind, "message": message}));
    }
    failures.add(&context.ui, all, failure);
}
