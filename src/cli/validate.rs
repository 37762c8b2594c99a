use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::context::Context;
use crate::deploy::Source;
use crate::error::Failure;

/// Check an app without deploying it: app.ini, and every file that would travel
#[derive(Debug, Args)]
pub(super) struct Validate {
    /// The app's directory
    #[arg(default_value = ".")]
    dir: PathBuf,
}

pub(super) fn run(context: &Context, args: Validate) -> Result<(), Failure> {
    let services = context.services()?;
    let config = Source::config(&args.dir, None, &services)?;
    for warning in &config.warnings {
        context.ui.warn(&warning.to_string());
    }
    let source = Source::scan(&args.dir, config, &services)?;
    let (files, bytes) = (source.manifest.files.len(), source.manifest.bytes());
    let warnings: Vec<String> = source.config.warnings.iter().map(ToString::to_string).collect();
    let answer = json!({"app": source.config.name, "files": files, "bytes": bytes, "settings": source.config.settings, "warnings": warnings});
    context.ui.answer(&answer, |ui| {
        ui.line(format!("{} is fine: {files} files, {:.1} MB", source.config.name, bytes as f64 / 1e6));
    });
    Ok(())
}
