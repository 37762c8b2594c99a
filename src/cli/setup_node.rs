use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use crate::deploy::Remote;
use crate::error::Failure;
use crate::inventory::NodeRecord;
use crate::node::Program;
use crate::providers::hosts;

/// Set up a server, or bring one up to date
///
/// Takes a bare Ubuntu or Debian server that SSH reaches, as root or as a user with sudo: packages, the front, a firewall (22, 80, 443), an
/// sshd without passwords, security upgrades. Running it again changes only what is not as it should be.
#[derive(Debug, Args)]
pub(super) struct SetupNode {
    /// A node, or any host: a name, an address, a Host of ~/.ssh/config
    #[arg(value_name = "NAME|HOST")]
    host: String,
    /// The user to log in as; without root it needs sudo without a password
    #[arg(long, env = "CLOUDTOOL_USER")]
    user: Option<String>,
    /// The port of its sshd
    #[arg(long, env = "CLOUDTOOL_PORT")]
    port: Option<u16>,
    /// The private key to log in with
    #[arg(long, value_name = "FILE", env = "CLOUDTOOL_IDENTITY")]
    identity: Option<PathBuf>,
}

pub(super) fn run(context: &Context, args: SetupNode) -> Result<(), Failure> {
    let mut record = context.named(&args.host)?;
    if args.user.is_some() {
        record.user = args.user;
        // Who logs in is said: nobody else is tried.
        record.met = !record.key_made_here;
    }
    if let Some(port) = args.port {
        record.port = port;
    }
    if args.identity.is_some() {
        record.identity = args.identity;
    }
    set_up(context, &record)
}

/// Sets a node up and remembers how it was reached.
pub(super) fn set_up(context: &Context, record: &NodeRecord) -> Result<(), Failure> {
    let start = Instant::now();
    let (mut remote, _) = context.connect_installing(record)?;
    let outcome = converge(context, &mut remote);
    let result = if outcome.is_ok() { "done" } else { "failed" };
    context.record("setup-node", Some(&record.name), None, result, None);
    let answer = outcome?;
    remember(context, record, &remote)?;
    let ui = &context.ui;
    ui.event(&answer);
    let changed: Vec<&str> = answer["changed"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for change in &changed {
        ui.line(format!("  changed: {change}"));
    }
    let outcome = if changed.is_empty() { "; nothing to change" } else { "" };
    ui.line(format!("{} is set up{outcome} ({:.1} s)", record.name, start.elapsed().as_secs_f64()));
    ui.say("Next: cloudtool update path/to/app --host=HOST");
    Ok(())
}

/// Has the node's own program bring it to what it should be.
pub(super) fn converge(context: &Context, remote: &mut Remote) -> Result<Value, Failure> {
    let session = remote.session();
    let request = json!({
        "verb": "setup",
        "program": Program::version(),
        "user": session.destination().user,
        "key": session.key(),
        "lock_timeout": 600,
    });
    context.call(remote, request)
}

fn remember(context: &Context, record: &NodeRecord, remote: &Remote) -> Result<(), Failure> {
    let inventory = context.inventory()?;
    let destination = remote.session().destination();
    // The first login may have changed what is known.
    let known = inventory.get_node(&record.provider, &record.id)?.unwrap_or_else(|| record.clone());
    let mut record = NodeRecord {
        port: record.port,
        identity: record.identity.clone(),
        user: Some(destination.user.clone()),
        met: !known.key_made_here,
        ..known
    };
    if record.provider == hosts::NAME {
        record.address = Some(destination.host.clone());
        record.port = destination.port;
    }
    inventory.upsert_node(&record)?;
    if inventory.default_node()?.is_none() {
        inventory.set_default_node(Some(&record.name))?;
    }
    Ok(())
}
