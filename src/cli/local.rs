//! What `env` and `run --local` share with `serve`: an app's directory on this machine, and what its processes would see.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::context::Context;
use super::serve::Talk;
use super::uploads;
use crate::config::Platform;
use crate::deploy::Source;
use crate::develop::{self, Workshop};
use crate::error::{Failure, Kind};

/// The variables of the app in `dir`, whether it runs or not.
pub(super) fn variables(context: &Context, dir: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let services = context.services()?;
    let config = Source::config(dir, None, &services)?;
    let workshop = Workshop::open(dir, Arc::new(Talk(context.ui.clone())))?;
    workshop.variables(config, context.config()?, &services)
}

/// Runs a command in the app's directory as if it were inside the app; this program then ends with its exit status. Comes back only
/// when it did not start.
pub(super) fn become_it(context: &Context, dir: &Path, words: &[String]) -> Result<(), Failure> {
    // Ctrl-C is the command's, which has the terminal; this waits for what comes of it.
    let _ = ctrlc::set_handler(|| {});
    let here = uploads::current_directory()?;
    let status = {
        let services = context.services()?;
        let config = Source::config(dir, None, &services)?;
        let workshop = Workshop::open(dir, Arc::new(Talk(context.ui.clone())))?;
        let platform = config.settings.platform;
        let ready = workshop.prepare(config, context.config()?, &services, None)?;
        let words = uploads::in_place(words, &here, workshop.dir());
        run(&workshop, &words, platform, &ready.variables)?
    };
    std::process::exit(status);
}

fn run(
    workshop: &Workshop,
    words: &[String],
    platform: Platform,
    variables: &BTreeMap<String, String>,
) -> Result<i32, Failure> {
    let words = develop::resolve_words(workshop.dir(), words, platform)?;
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).current_dir(workshop.dir()).envs(variables);
    match command.status() {
        Ok(status) => Ok(develop::shell_status(status)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let message = format!("there is no {} in the app, nor in the PATH", words[0]);
            Err(Failure::new(Kind::Failed, message))
        }
        Err(error) => Err(Failure::new(Kind::Failed, format!("{} cannot be run: {error}", words[0]))),
    }
}
