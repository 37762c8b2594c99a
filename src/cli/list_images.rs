use clap::Args;

use super::context::Context;
use crate::error::Failure;
use crate::ui::Table;

/// List the images a node can be made from
#[derive(Debug, Args)]
pub(super) struct ListImages {}

pub(super) fn run(context: &Context, _args: ListImages) -> Result<(), Failure> {
    let (section, provider) = context.provider()?;
    let images = provider.images()?;
    context.ui.answer(&images, |ui| {
        let mut table = Table::new(&["ID", "NAME", "DESCRIPTION"]);
        for image in &images {
            table.row([&image.id, &image.name, &image.description]);
        }
        table.print(ui);
        if let Some(image) = &section.image {
            ui.say(format!("The default is {image} ([provider:{}])", section.name));
        }
    });
    Ok(())
}
