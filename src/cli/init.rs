use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::context::Context;
use crate::app;
use crate::config::Platform;
use crate::error::{Failure, Kind};
use crate::names::AppName;

/// Make a new app: a commented app.ini and a hello that runs
#[derive(Debug, Args)]
pub(super) struct Init {
    /// The directory; it is made if it is not there
    dir: PathBuf,
    /// The app's name; without it the directory's
    #[arg(long)]
    name: Option<AppName>,
    /// What the app is made of
    #[arg(long, default_value = "python")]
    platform: Kinds,
    /// Overwrite files that are there already
    #[arg(short, long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kinds {
    Python,
    Php,
    Static,
}

pub(super) fn run(context: &Context, args: Init) -> Result<(), Failure> {
    let platform = match args.platform {
        Kinds::Python => Platform::Python,
        Kinds::Php => Platform::Php,
        Kinds::Static => Platform::Static,
    };
    let name = args.name.or_else(|| app::init::name_from_dir(&args.dir)).ok_or_else(|| {
        Failure::new(Kind::Usage, format!("no app name can be made of {}", args.dir.display())).hint("say --name NAME")
    })?;
    let done = app::init::init(&args.dir, &name, platform, args.force)?;
    context.ui.answer(&done, |ui| {
        for file in &done.written {
            ui.line(format!("wrote {}", args.dir.join(file).display()));
        }
        for file in &done.kept {
            ui.line(format!("kept  {}", args.dir.join(file).display()));
        }
        ui.say(format!("Next: cloudtool update {}", args.dir.display()));
    });
    Ok(())
}
