//! An app that several nodes serve has its cron jobs on one of them.

use super::context::Context;
use crate::config::AppConfig;
use crate::error::{Failure, Kind};
use crate::inventory::NodeRecord;
use crate::names::Location;

/// Takes the jobs off an app that is about to go to `node`, when it is another one that they run on. Fails where nobody has said which of
/// several it is: they would run on each.
pub(super) fn leave_to_one(
    context: &Context,
    config: &mut AppConfig,
    node: &NodeRecord,
    locations: &[Location],
) -> Result<(), Failure> {
    if config.settings.crons.is_empty() {
        return Ok(());
    }
    if let Some(chosen) = &config.cron_node {
        if chosen.as_str() != node.name {
            context.ui.say(format!("the cron jobs of {} run on {chosen}, not on {}", config.name, node.name));
            config.settings.crons.clear();
        }
        return Ok(());
    }
    let Some(other) = other_node(context, config, node, locations)? else { return Ok(()) };
    let message = format!(
        "{} serves {} as well: the cron jobs of {} would run on both nodes",
        other.name,
        locations.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        config.name
    );
    let hint = format!("say in its app.ini on which of them, e.g. cron_node = {}", other.name);
    Err(Failure::new(Kind::Usage, message).hint(hint))
}

/// A node that has the app, at one of these locations, and is not `node`.
fn other_node(
    context: &Context,
    config: &AppConfig,
    node: &NodeRecord,
    locations: &[Location],
) -> Result<Option<NodeRecord>, Failure> {
    let is = |one: &NodeRecord, other: &NodeRecord| (&one.provider, &one.id) == (&other.provider, &other.id);
    let inventory = context.inventory()?;
    let with_app = inventory.nodes_for_app(&config.name)?;
    for location in locations {
        let serving = inventory.nodes_for_location(location)?;
        let other = serving.into_iter().find(|found| !is(found, node) && with_app.iter().any(|has| is(has, found)));
        if other.is_some() {
            return Ok(other);
        }
    }
    Ok(None)
}
