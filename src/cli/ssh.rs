use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use clap::Args;
use serde_json::json;

use super::NodeChoice;
use super::context::Context;
use super::data::Target;
use super::inside::{self, Wish};
use super::remote_line;
use crate::error::{Failure, Kind};
use crate::inventory::{KnownHosts, NodeRecord};
use crate::node::Destination;
use crate::providers::hosts;

/// Log in to a node with your own ssh, or open a shell inside an app
///
/// To a node: with the host keys, the private key, the user and the port that cloudtool knows, and everything else from ~/.ssh/config.
/// The exit code is ssh's. Inside an app: a shell in the release that serves, as the app's user, with its variables, as `cloudtool run`
/// does it. A name is a node's if there is a node of that name, else an app's or a location, if one is known, else a host to log in to.
#[derive(Debug, Args)]
pub(super) struct Ssh {
    /// The node, the app, or a location it serves
    #[arg(value_name = "NODE|APP|LOCATION")]
    name: String,
    /// The name is an app's or a location, whatever else has it
    #[arg(short, long)]
    app: bool,
    /// With a terminal although there is a command, for programs that draw
    #[arg(short, long)]
    tty: bool,
    /// A command instead of a shell: one word is a line for the node's shell, several arrive as they are
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// The app's node, where the name is an app's
    #[command(flatten)]
    on: NodeChoice,
}

pub(super) fn run(context: &Context, args: Ssh) -> Result<(), Failure> {
    if args.app || is_app(context, &args.name)? {
        return inside_app(context, args);
    }
    let mut node = context.node(&NodeChoice { node: Some(args.name) }, None, &[])?;
    if !node.met && context.inventory()?.get_node(&node.provider, &node.id)?.is_some() {
        // Whom it lets in, and by which host key it is known from now on.
        drop(context.session(&node)?);
        node = context.inventory()?.get_node(&node.provider, &node.id)?.unwrap_or(node);
    }
    let line = if args.command.is_empty() { None } else { Some(remote_line::of(&args.command)?) };
    become_ssh(context, &node, Wanted { tty: args.tty, forward: None, line })
}

/// Whether a name is one of an app or a location that is known, and none of a node.
pub(super) fn is_app(context: &Context, name: &str) -> Result<bool, Failure> {
    let inventory = context.inventory()?;
    if inventory.find_node(name)?.is_some() {
        return Ok(false);
    }
    let known = inventory.locations()?;
    Ok(match name.parse::<Target>() {
        Ok(Target::App(app)) => known.iter().any(|(_, owner)| owner == app.as_str()),
        Ok(Target::Location(location)) => known.iter().any(|(known, _)| *known == location.to_string()),
        Err(_) => false,
    })
}

fn inside_app(context: &Context, args: Ssh) -> Result<(), Failure> {
    let what = if args.command.is_empty() { json!({"open": "shell"}) } else { json!({"words": args.command}) };
    let wish = Wish {
        target: &args.name.parse()?,
        node: &args.on,
        terminal: args.command.is_empty() || args.tty,
        what,
        uploads: Vec::new(),
    };
    inside::become_it(context, wish)
}

/// What is wanted of ssh beside a connection.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// A terminal although there is a line.
    pub(super) tty: bool,
    /// Nothing but a forwarded port, as `-L` says it.
    pub(super) forward: Option<String>,
    /// What the node's shell gets.
    pub(super) line: Option<String>,
}

/// Puts ssh in the place of this program. Comes back only when that fails.
pub(super) fn become_ssh(context: &Context, node: &NodeRecord, wanted: Wanted) -> Result<(), Failure> {
    let arguments = arguments(node, &context.destination(node), KnownHosts::open()?.path(), wanted);
    let error = Command::new("ssh").args(arguments).exec();
    Err(Failure::new(Kind::Failed, format!("ssh cannot be started: {error}")).hint("install openssh-client"))
}

/// What ssh is told. Nothing of it passes a shell on this machine.
fn arguments(node: &NodeRecord, destination: &Destination, own_known_hosts: &Path, wanted: Wanted) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut known_hosts = OsString::from("-oUserKnownHostsFile=");
    for (index, file) in
        std::iter::once(own_known_hosts).chain(destination.known_hosts.iter().map(AsRef::as_ref)).enumerate()
    {
        if index > 0 {
            known_hosts.push(" ");
        }
        // A list: a name with a blank in it is quoted, as in ssh's configuration.
        known_hosts.push("\"");
        known_hosts.push(file);
        known_hosts.push("\"");
    }
    arguments.push(known_hosts);
    arguments.push(format!("-p{}", destination.port).into());
    arguments.push(format!("-l{}", destination.user).into());
    if let Some(identity) = &node.identity {
        arguments.push("-i".into());
        arguments.push(identity.into());
        arguments.push("-oIdentitiesOnly=yes".into());
    }
    if wanted.tty {
        arguments.push("-t".into());
    }
    if let Some(forward) = wanted.forward {
        arguments.extend(["-N".into(), "-oExitOnForwardFailure=yes".into(), "-L".into(), forward.into()]);
    }
    arguments.push("--".into());
    // A plain host goes by its user's own name for it: proxies and keys are behind that.
    let host = if node.provider == hosts::NAME { &node.id } else { &destination.host };
    arguments.push(host.into());
    arguments.extend(wanted.line.map(OsString::from));
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_is_told_what_cloudtool_knows() {
        let destination = Destination {
            name: "web".into(),
            host: "192.0.2.1".into(),
            port: 2222,
            user: "ubuntu".into(),
            identities: vec![],
            agent: true,
            proxy: None,
            known_hosts: vec!["/home/me/.ssh/known_hosts".into()],
        };
        let node = NodeRecord { provider: "p".into(), identity: Some("/k".into()), ..NodeRecord::default() };
        let words = |node: &NodeRecord, tty, line: Option<&str>| {
            let wanted = Wanted { tty, forward: None, line: line.map(str::to_owned) };
            let all = arguments(node, &destination, Path::new("/a b/known"), wanted);
            all.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(
            words(&node, true, Some("a | b")),
            [
                "-oUserKnownHostsFile=\"/a b/known\" \"/home/me/.ssh/known_hosts\"",
                "-p2222",
                "-lubuntu",
                "-i",
                "/k",
                "-oIdentitiesOnly=yes",
                "-t",
                "--",
                "192.0.2.1",
                "a | b"
            ]
        );
        let host = NodeRecord { provider: hosts::NAME.into(), id: "alias".into(), ..NodeRecord::default() };
        assert_eq!(words(&host, false, None)[3..], ["--", "alias"]);
    }
}
