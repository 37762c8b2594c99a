use std::path::PathBuf;

use clap::Args;

use super::context::Context;
use super::local;
use crate::error::Failure;

/// Print the variables that an app sees on this machine
///
/// As a shell reads them: eval "$(cloudtool env)" has them in this one. They are what `serve` gives the app; its services answer while
/// that, or `run --local`, runs.
#[derive(Debug, Args)]
pub(super) struct Env {
    /// The app's directory
    #[arg(default_value = ".")]
    dir: PathBuf,
}

pub(super) fn run(context: &Context, args: Env) -> Result<(), Failure> {
    let variables = local::variables(context, &args.dir)?;
    context.ui.answer(&variables, |ui| {
        for (name, value) in &variables {
            ui.line(format!("export {name}={}", quoted(value)));
        }
    });
    Ok(())
}

/// As it stands in a shell, whatever is in it.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}
