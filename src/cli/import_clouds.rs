use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::configure::{has_section, shown};
use super::context::Context;
use crate::config::clouds_yaml::{self, Imported};
use crate::config::{edit, ini_file, user};
use crate::error::{Failure, Kind};

/// Take the clouds of another program's file into the configuration
///
/// Reads Cloudmesh's YAML and OpenStack's clouds.yaml: a section [provider:NAME] for each cloud, in the file's order. Secrets are taken as
/// they are, and the configuration is readable by you alone then.
#[derive(Debug, Args)]
pub(super) struct ImportClouds {
    /// The YAML file
    file: PathBuf,
    /// Sections that are there already get the file's settings
    #[arg(long)]
    replace: bool,
}

pub(super) fn run(context: &Context, args: ImportClouds) -> Result<(), Failure> {
    let yaml = ini_file::read(&args.file)?;
    let Imported { clouds, default, left_out } = clouds_yaml::read(&yaml)
        .map_err(|reason| Failure::new(Kind::Usage, format!("{}: {reason}", args.file.display())))?;
    for reason in &left_out {
        context.ui.warn(&format!("left out: {reason}"));
    }
    let file = context.config_file()?;
    let mut text = if file.exists() { ini_file::read(&file)? } else { String::new() };
    for cloud in &clouds {
        let section = format!("provider:{}", cloud.name);
        if !args.replace && has_section(&file, &text, &section) {
            return Err(Failure::new(Kind::Usage, format!("{} has a section [{section}] already", file.display()))
                .hint("--replace gives it the settings of the file"));
        }
        text = edit::set(&file, &text, &section, &cloud.settings)?;
    }
    if let Some(default) = default
        && user::parse(&file, &text)?.defaults.provider.is_none()
    {
        text = edit::set(&file, &text, "defaults", &[("provider".into(), default)])?;
    }
    // Whatever it is, it can be read afterwards.
    user::parse(&file, &text)?;
    edit::write(&file, &text)?;
    let names: Vec<&str> = clouds.iter().map(|cloud| cloud.name.as_str()).collect();
    context.ui.answer(&json!({"imported": names, "left_out": left_out, "file": file.display().to_string()}), |ui| {
        for cloud in &clouds {
            ui.line(format!("[provider:{}]", cloud.name));
            for (key, value) in &cloud.settings {
                ui.line(format!("{key} = {}", shown(key, value)));
            }
        }
        ui.line(format!("written to {}", file.display()));
    });
    Ok(())
}
