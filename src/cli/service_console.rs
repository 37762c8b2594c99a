use std::io::IsTerminal;

use clap::Args;
use serde_json::{Value, json};

use super::NodeChoice;
use super::context::Context;
use super::data::{self, Found, Target};
use super::ssh::{self, Wanted};
use crate::error::{Failure, Kind};
use crate::node::Program;

/// Open a service of an app by hand, as the app itself
///
/// psql, mariadb, redis-cli, or a prompt for requests to CouchDB, on the node, over your own ssh. What is piped in is run, as those programs do: `cloudtool service-console myapp < report.sql`.
#[derive(Debug, Args)]
pub(super) struct ServiceConsole {
    /// The app, or a location it serves
    #[arg(value_name = "APP|LOCATION")]
    target: Target,
    /// The service; need not be said when only one has a console
    service: Option<String>,
    #[command(flatten)]
    node: NodeChoice,
}

pub(super) fn run(context: &Context, args: ServiceConsole) -> Result<(), Failure> {
    let mut found = data::find(context, &args.target, &args.node)?;
    let service = one(context, &mut found, args.service.as_deref(), "a console", |service| service["console"] == true)?;
    // Two names that we have checked: nothing in them means anything to a shell.
    let program = Program::command(&found.remote.session().destination().user);
    let line = format!("{program} console {} {}", found.app, service.name);
    let wanted = Wanted { tty: std::io::stdin().is_terminal(), forward: None, line: Some(line) };
    drop(found.remote);
    ssh::become_ssh(context, &found.node, wanted)
}

/// A service of an app that can do what is wanted.
pub(super) struct Service {
    pub(super) name: String,
    pub(super) answer: Value,
}

/// The service that was named, or the only one that has what is wanted.
pub(super) fn one(
    context: &Context,
    found: &mut Found,
    named: Option<&str>,
    what: &str,
    has: fn(&Value) -> bool,
) -> Result<Service, Failure> {
    let answer = context.call(&mut found.remote, json!({"verb": "shares", "app": found.app}))?;
    let able =
        answer["services"].as_array().into_iter().flatten().filter(|service| has(service)).filter_map(|service| {
            // It becomes a word of a command line: only what can be the name of a folder of ours.
            let name = service["name"]
                .as_str()
                .filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)))?;
            Some(Service { name: name.to_owned(), answer: service.clone() })
        });
    let mut able: Vec<Service> = able.collect();
    let names: Vec<String> = able.iter().map(|service| service.name.clone()).collect();
    let at = match named {
        Some(wanted) => able.iter().position(|service| service.name == wanted),
        None if able.len() == 1 => Some(0),
        None => None,
    };
    at.map(|at| able.swap_remove(at)).ok_or_else(|| {
        let of = &found.app;
        match (named, names.is_empty()) {
            (_, true) => Failure::new(Kind::Usage, format!("{of} has no service with {what}")),
            (Some(wanted), false) => Failure::new(Kind::Usage, format!("{of} has no service {wanted:?} with {what}"))
                .hint(format!("those that have one: {}", names.join(", "))),
            (None, false) => Failure::new(Kind::Usage, format!("which service of {of}?"))
                .hint(format!("say one of {}", names.join(", "))),
        }
    })
}
