use clap::Args;

use super::context::Context;
use crate::error::Failure;
use crate::ui::Table;

/// List the places a node can be made in
#[derive(Debug, Args)]
pub(super) struct ListLocations {}

pub(super) fn run(context: &Context, _args: ListLocations) -> Result<(), Failure> {
    let (section, provider) = context.provider()?;
    let regions = provider.regions()?;
    context.ui.answer(&regions, |ui| {
        let mut table = Table::new(&["ID", "NAME", "COUNTRY"]);
        for region in &regions {
            table.row([region.id.as_str(), region.name.as_str(), region.country.as_deref().unwrap_or_default()]);
        }
        table.print(ui);
        if let Some(location) = &section.location {
            ui.say(format!("The default is {location} ([provider:{}])", section.name));
        }
    });
    Ok(())
}
