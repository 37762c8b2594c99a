//! `report`: one file about an app that failed, for whoever is to find out why. The node's part comes from its verb of the same name,
//! where its secrets are known and taken out; a node that does not answer leaves what this machine knows. [`page`] makes the text.

mod page;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use serde_json::{Value, json};

use super::NodeChoice;
use super::context::Context;
use super::data::Target;
use super::doctor;
use crate::error::{Failure, Kind};
use crate::inventory::{Event, NodeRecord};
use crate::node::Error;
use crate::times;
use page::{Asked, Page};

/// How many events of this machine are looked through.
const EVENTS: u32 = 500;

/// Write into one file why an app failed, without secrets
///
/// The step that failed and what it was answered, the end of the log, what changed since the last good release, and how app, node and
/// this machine are. What the node knows to be secret is replaced by *** wherever it appears, also in what the app printed: passwords of
/// services, everything that was set with `config`, the values of [env]. Visitors' requests are not in it. When the node does not answer,
/// the file says what this machine knows. It is text (Markdown), to be read before it is passed on.
#[derive(Debug, Args)]
pub(super) struct Report {
    /// The app, or a location it serves
    #[arg(value_name = "APP|LOCATION")]
    target: Target,
    /// Write it there, or with - to standard output; without it into a new file of this directory
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How many entries of the log at the end
    #[arg(short = 'n', long = "lines", default_value_t = 100, value_name = "LINES", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    lines: u32,
    #[command(flatten)]
    node: NodeChoice,
}

pub(super) fn run(context: &Context, args: Report) -> Result<(), Failure> {
    let node = match &args.target {
        Target::App(app) => context.node(&args.node, Some(app), &[])?,
        Target::Location(location) => context.node(&args.node, None, std::slice::from_ref(location))?,
    };
    let asked = ask(context, &node, &args)?;
    let now = SystemTime::now();
    let page = Page {
        target: args.target.to_string(),
        at: times::long(now),
        node: &node,
        asked,
        machine: doctor::machine(context),
        events: events(context, &node, &args.target)?,
    };
    let name = format!("cloudtool-report-{}-{}.md", page.name(), times::short(now));
    let text = page.text();
    match args.output.as_deref() {
        Some(path) if path == Path::new("-") => {
            context.ui.pass_on(false, text.as_bytes()).map_err(|error| unwritten(path, &error))?;
        }
        chosen => {
            let path = chosen.map_or_else(|| PathBuf::from(name), Path::to_owned);
            write(&path, &text, chosen.is_none()).map_err(|error| unwritten(&path, &error))?;
            context.ui.event(&json!({"event": "result", "file": path}));
            context.ui.line(format!("{} has it all. Read it before you pass it on.", path.display()));
        }
    }
    Ok(())
}

/// What the node has to say. That there is no such app is no report.
fn ask(context: &Context, node: &NodeRecord, args: &Report) -> Result<Asked, Failure> {
    let context = context.for_one_of_several(&node.name);
    let mut remote = match context.connect(node) {
        Ok(remote) => remote,
        Err(failure) => return Ok(Asked::Unanswered(failure)),
    };
    let mut request = json!({"verb": "report", "lines": args.lines});
    match &args.target {
        Target::App(app) => request["app"] = json!(app),
        Target::Location(location) => request["location"] = json!(location),
    }
    match remote.call(request, &mut |_| {}) {
        Ok(answer) => Ok(told(&context, node, answer)),
        Err(Error::Refused(refused)) if refused.code == "not-found" => Err(Error::Refused(refused).into_failure()),
        Err(error) => Ok(Asked::Unanswered(error.into_failure())),
    }
}

fn told(context: &Context, node: &NodeRecord, answer: Value) -> Asked {
    match doctor::subjects(context, node, &answer) {
        Ok(subjects) => Asked::Answered { answer, subjects },
        Err(failure) => Asked::Unanswered(failure),
    }
}

/// What was done to the app, or to the whole node, from here; the newest first.
fn events(context: &Context, node: &NodeRecord, target: &Target) -> Result<Vec<Event>, Failure> {
    let inventory = context.inventory()?;
    let app = match target {
        Target::App(app) => Some(app.to_string()),
        Target::Location(location) => {
            let known = inventory.locations()?;
            known.into_iter().find(|(known, _)| *known == location.to_string()).map(|(_, app)| app)
        }
    };
    let concerns = |event: &Event| {
        event.node.as_deref() == Some(&node.name) && (event.app.is_none() || app.is_none() || event.app == app)
    };
    Ok(inventory.events(EVENTS)?.into_iter().filter(concerns).take(20).collect())
}

/// Only for its owner to read. One that was not named takes the place of no other.
fn write(path: &Path, text: &str, is_new: bool) -> std::io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).create_new(is_new).truncate(!is_new).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Failed, format!("{} cannot be written: {error}", path.display()))
        .hint("name another place with --output FILE")
}
