use std::net::TcpListener;

use clap::Args;
use serde_json::json;

use super::NodeChoice;
use super::context::Context;
use super::data::{self, Target};
use super::service_console::one;
use super::ssh::{self, Wanted};
use crate::error::{Failure, Kind};

/// Reach a service of an app from this machine
///
/// By a local port that leads to it, through your own ssh, until Ctrl-C.
#[derive(Debug, Args)]
pub(super) struct Forward {
    /// The app, or a location it serves
    #[arg(value_name = "APP|LOCATION")]
    target: Target,
    /// The service; need not be said when only one has an address
    service: Option<String>,
    /// The local port; without it a free one
    #[arg(long)]
    port: Option<u16>,
    #[command(flatten)]
    node: NodeChoice,
}

pub(super) fn run(context: &Context, args: Forward) -> Result<(), Failure> {
    let mut found = data::find(context, &args.target, &args.node)?;
    let service =
        one(context, &mut found, args.service.as_deref(), "an address", |service| service["address"].is_array())?;
    let address = &service.answer["address"];
    let (Some(host), Some(Ok(port))) = (address[0].as_str(), address[1].as_str().map(str::parse::<u16>)) else {
        return Err(Failure::new(Kind::Failed, format!("{} says no address of {}", found.node.name, service.name)));
    };
    let local = match args.port {
        Some(port) => port,
        None => free_port().map_err(|error| Failure::new(Kind::Failed, format!("there is no free port: {error}")))?,
    };
    context.ui.event(&json!({"event": "forward", "app": found.app, "service": service.name, "port": local}));
    context.ui.line(format!("127.0.0.1:{local} leads to {} of {} on {}", service.name, found.app, found.node.name));
    context
        .ui
        .say(format!("  user, database and password: cloudtool service-info {} --reveal; Ctrl-C ends", found.app));
    let forward = format!("127.0.0.1:{local}:{host}:{port}");
    drop(found.remote);
    ssh::become_ssh(context, &found.node, Wanted { forward: Some(forward), ..Wanted::default() })
}

/// A port nobody listens on now. Whoever takes it before ssh does, ssh says so.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
