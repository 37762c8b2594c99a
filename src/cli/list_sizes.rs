use clap::Args;

use super::context::Context;
use crate::error::Failure;
use crate::providers::Size;
use crate::ui::Table;

/// List the sizes a node can have, with their prices where the provider tells them
#[derive(Debug, Args)]
pub(super) struct ListSizes {}

pub(super) fn run(context: &Context, _args: ListSizes) -> Result<(), Failure> {
    let (section, provider) = context.provider()?;
    let sizes = provider.sizes()?;
    context.ui.answer(&sizes, |ui| {
        let mut table = Table::new(&["ID", "NAME", "MEMORY", "DISK", "CPUS", "A MONTH", "AN HOUR"]);
        for size in &sizes {
            table.row(cells(size));
        }
        table.print(ui);
        if let Some(size) = &section.size {
            ui.say(format!("The default is {size} ([provider:{}])", section.name));
        }
    });
    Ok(())
}

fn cells(size: &Size) -> [String; 7] {
    let price = |amount: Option<f64>, digits: usize| {
        let currency = size.price.as_ref().map(|price| price.currency.as_str()).unwrap_or_default();
        amount.map(|amount| format!("{amount:.digits$} {currency}")).unwrap_or_default()
    };
    [
        size.id.clone(),
        size.name.clone(),
        size.memory_mb.map(|mb| format!("{mb} MB")).unwrap_or_default(),
        size.disk_gb.map(|gb| format!("{gb} GB")).unwrap_or_default(),
        size.cpus.map(|cpus| cpus.to_string()).unwrap_or_default(),
        price(size.price.as_ref().and_then(|price| price.monthly), 2),
        price(size.price.as_ref().and_then(|price| price.hourly), 4),
    ]
}
