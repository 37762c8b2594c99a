use clap::Args;
use serde_json::{Value, json};

use super::NodeChoice;
use super::context::Context;
use super::data::{self, Target};
use super::query::words;
use crate::error::Failure;

/// Show what an app has of its services: shares, addresses, variables
#[derive(Debug, Args)]
pub(super) struct ServiceInfo {
    /// The app, or a location it serves
    #[arg(value_name = "APP|LOCATION")]
    target: Target,
    /// Show passwords too
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    node: NodeChoice,
}

pub(super) fn run(context: &Context, args: ServiceInfo) -> Result<(), Failure> {
    let mut found = data::find(context, &args.target, &args.node)?;
    let answer = context.call(&mut found.remote, json!({"verb": "shares", "app": found.app, "reveal": args.reveal}))?;
    context.ui.answer(&answer, |ui| {
        let services = answer["services"].as_array().map_or(&[] as &[Value], Vec::as_slice);
        for service in services {
            ui.line(format!("{}: {}", words(&service["name"]), words(&service["description"])));
            for (name, value) in service["variables"].as_object().into_iter().flatten() {
                ui.line(format!("  {name}={}", words(value)));
            }
        }
        if services.is_empty() {
            ui.say(format!("{} has no services: see service.NAME in its app.ini", found.app));
        }
    });
    Ok(())
}
