use clap::Args;
use serde_json::{Value, json};

use super::NodeChoice;
use super::context::Context;
use super::data::Patience;
use crate::error::{Failure, Kind};
use crate::names::Location;

/// Take locations away from their apps; the apps keep running
#[derive(Debug, Args)]
pub(super) struct Deactivate {
    /// The locations: HOST, HOST/PATH or *.DOMAIN
    #[arg(required = true, value_name = "LOCATION")]
    locations: Vec<Location>,
    #[command(flatten)]
    node: NodeChoice,
    #[command(flatten)]
    patience: Patience,
}

pub(super) fn run(context: &Context, args: Deactivate) -> Result<(), Failure> {
    let node = context.node(&args.node, None, &args.locations)?;
    let mut remote = context.connect(&node)?;
    let request =
        json!({"verb": "deactivate", "locations": args.locations, "lock_timeout": args.patience.lock_timeout});
    let answer = context.call_recorded(&mut remote, "deactivate", None, request)?;
    context.refresh_locations(&node, &mut remote)?;
    context.ui.event(&answer);
    for removed in answer["removed"].as_array().into_iter().flatten() {
        let text = |key: &str| removed[key].as_str().unwrap_or_default();
        context.ui.line(format!("{} no longer leads to {}", text("location"), text("app")));
    }
    let unknown: Vec<&str> = answer["unknown"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Kind::Usage, format!("{} has no location {}", node.name, unknown.join(", ")))
        .hint(format!("cloudtool query {} shows them", node.name)))
}
