use clap::Args;
use serde_json::{Map, json};

use super::context::Context;
use crate::error::Failure;
use crate::providers::{COLUMNS, DRIVERS};
use crate::ui::Table;

/// List the providers there are drivers for, and what each can do
///
/// HOST KEY: the node's host key is known before the first connection. USER-DATA: cloud-init reads what it is given.
#[derive(Debug, Args)]
pub(super) struct ListProviders {}

pub(super) fn run(context: &Context, _args: ListProviders) -> Result<(), Failure> {
    let answer: Vec<_> = DRIVERS
        .iter()
        .map(|driver| {
            let cells = COLUMNS.iter().map(|column| {
                (column.title.to_lowercase().replace([' ', '-'], "_"), json!((column.can)(&driver.capabilities)))
            });
            json!({"name": driver.name, "can": Map::from_iter(cells)})
        })
        .collect();
    context.ui.answer(&answer, |ui| {
        let titles: Vec<&'static str> =
            std::iter::once("PROVIDER").chain(COLUMNS.iter().map(|column| column.title)).collect();
        let mut table = Table::new(&titles);
        for driver in DRIVERS {
            let cells = COLUMNS.iter().map(|column| if (column.can)(&driver.capabilities) { "yes" } else { "" });
            table.row(std::iter::once(driver.name).chain(cells));
        }
        table.print(ui);
        ui.say("A section [provider:NAME] of the configuration opens one: `cloudtool configure`");
    });
    Ok(())
}
