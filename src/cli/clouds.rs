//! All clouds at once: the same question to each, in parallel, and the nodes of these names wherever they are.

use std::sync::Arc;
use std::thread;

use super::context::{Clouds, Context, Down};
use crate::error::{Failure, Kind};
use crate::inventory::Inventory;
use crate::providers::{self, Node, NodeState, Provider};

/// What was answered to a question, in the clouds' order, and who could not be asked or did not answer.
pub(super) struct Answers<T> {
    pub(super) told: Vec<(Arc<dyn Provider>, T)>,
    pub(super) down: Vec<Down>,
}

/// Asks every configured cloud at the same time: it takes as long as the slowest.
pub(super) fn ask_all<T: Send>(
    context: &Context,
    question: impl Fn(&dyn Provider) -> providers::Result<T> + Sync,
) -> Result<Answers<T>, Failure> {
    let Clouds { open, down } = context.clouds()?;
    let answers = ask(open, question);
    Ok(Answers { told: answers.told, down: down.into_iter().chain(answers.down).collect() })
}

fn ask<T: Send>(
    clouds: Vec<Arc<dyn Provider>>,
    question: impl Fn(&dyn Provider) -> providers::Result<T> + Sync,
) -> Answers<T> {
    let question = &question;
    let answers: Vec<_> = thread::scope(|scope| {
        let asked: Vec<_> = clouds.iter().map(|cloud| scope.spawn(move || question(cloud.as_ref()))).collect();
        asked.into_iter().map(|answer| answer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let (mut told, mut down) = (Vec::new(), Vec::new());
    for (cloud, answer) in clouds.into_iter().zip(answers) {
        match answer {
            Ok(answer) => told.push((cloud, answer)),
            Err(error) => down.push(Down { cloud: cloud.name().to_owned(), failure: error.into() }),
        }
    }
    Answers { told, down }
}

/// Shows the failure of each cloud that is down. The error is the run's exit code, or with one cloud only its failure itself.
pub(super) fn tell_down(context: &Context, mut down: Vec<Down>, asked: usize) -> Result<(), Failure> {
    if asked == 1
        && let Some(only) = down.pop()
    {
        return Err(only.failure);
    }
    let Some(kind) = common_kind(down.iter().map(|down| down.failure.kind), Kind::Provider) else { return Ok(()) };
    for Down { cloud, failure } in down {
        let message =
            if failure.message.contains(&cloud) { failure.message } else { format!("{cloud}: {}", failure.message) };
        context.ui.tell(&Failure { message, ..failure });
    }
    Err(Failure::told_already(kind))
}

/// The kind all of these have, or else `otherwise`; `None` when there are none.
pub(super) fn common_kind(mut kinds: impl Iterator<Item = Kind>, otherwise: Kind) -> Option<Kind> {
    let first = kinds.next()?;
    Some(if kinds.all(|kind| kind == first) { first } else { otherwise })
}

/// A node where it is.
pub(super) struct Found {
    pub(super) cloud: Arc<dyn Provider>,
    pub(super) node: Node,
}

/// The nodes of these names or ids. Only the clouds that the inventory names are asked, as long as that is enough.
///
/// `None` for a name that no cloud has. The inner errors: several of that name, or not found where clouds did not answer.
pub(super) fn find(context: &Context, names: &[String]) -> Result<Vec<Result<Option<Found>, Failure>>, Failure> {
    let Clouds { open, mut down } = context.clouds()?;
    let known = known_at(&context.inventory()?, names)?;
    let (first, rest): (Vec<_>, Vec<_>) =
        open.into_iter().partition(|cloud| known.iter().any(|name| name == cloud.name()));
    let mut told = Vec::new();
    for clouds in [first, rest] {
        if !told.is_empty() && names.iter().all(|name| !matches(name, &told).is_empty()) {
            break;
        }
        let answers = ask(clouds, |cloud| cloud.nodes());
        told.extend(answers.told);
        down.extend(answers.down);
    }
    Ok(names.iter().map(|name| choose(name, &told, &down)).collect())
}

/// The providers that the inventory knows nodes of these names at.
fn known_at(inventory: &Inventory, names: &[String]) -> Result<Vec<String>, Failure> {
    let nodes = inventory.nodes()?;
    let mut known = Vec::new();
    for name in names {
        let of_name = nodes.iter().filter(|node| node.name == *name || node.id == *name);
        known.extend(of_name.map(|node| node.provider.clone()));
    }
    Ok(known)
}

type Told = [(Arc<dyn Provider>, Vec<Node>)];

fn matches<'a>(name: &str, told: &'a Told) -> Vec<(&'a Arc<dyn Provider>, &'a Node)> {
    let all = told.iter().flat_map(|(cloud, nodes)| nodes.iter().map(move |node| (cloud, node)));
    all.filter(|(_, node)| (node.name == name || node.id == name) && node.state != NodeState::Terminated).collect()
}

/// The failure of a name that no cloud has.
pub(super) fn no_such_node(name: &str) -> Failure {
    Failure::new(Kind::Usage, format!("no such node: {name}"))
        .hint("cloudtool list-nodes shows the nodes; another provider is chosen with --provider")
}

fn choose(name: &str, told: &Told, down: &[Down]) -> Result<Option<Found>, Failure> {
    match matches(name, told)[..] {
        [(cloud, node)] => Ok(Some(Found { cloud: cloud.clone(), node: node.clone() })),
        [] if down.is_empty() => Ok(None),
        [] => {
            let clouds: Vec<&str> = down.iter().map(|down| down.cloud.as_str()).collect();
            let failure = &down[0].failure;
            let message = format!("{name} is not found, and {} did not answer: {}", clouds.join(", "), failure.message);
            Err(Failure { message, kind: failure.kind, hint: failure.hint.clone(), details: Vec::new() })
        }
        ref several => {
            let places: Vec<String> =
                several.iter().map(|(cloud, node)| format!("{} ({})", cloud.name(), node.id)).collect();
            Err(Failure::new(Kind::Usage, format!("there are several nodes {name}: at {}", places.join(", ")))
                .hint("write the id instead of the name, or choose the cloud with --provider"))
        }
    }
}
