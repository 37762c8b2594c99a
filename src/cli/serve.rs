use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use serde_json::json;

use super::context::Context;
use crate::config::user;
use crate::deploy::Source;
use crate::develop::{self, Said, Told, Wish, Workshop};
use crate::error::{Failure, Kind};
use crate::node::Services;
use crate::ui::Ui;

/// Run an app on this machine, as it runs on a node
///
/// Files first, then the app, with the variables it has on a node, its virtual environment, and its services: servers of its own in the
/// app's directory `.cloudtool`, or those that [devel] of the configuration names. It is started anew when a file of it changes. What
/// goes wrong is shown in the browser and here. Ctrl-C ends all of it.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The app's directory
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The address to listen on; 0.0.0.0 is reached from other machines
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: String,
    /// The port; 0 is any that is free
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Serve the app below this path, as a location HOST/PATH does
    #[arg(long, value_name = "/PATH", value_parser = mount)]
    mount: Option<String>,
    /// Run the processes that [process:NAME] of app.ini names, too
    #[arg(long)]
    processes: bool,
}

pub(super) fn run(context: &Context, args: Serve) -> Result<(), Failure> {
    let stopped = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stopped);
    let handler = move || {
        if asked.swap(true, Ordering::Relaxed) {
            // Twice: whoever asks does not want to wait. What runs sees that we are gone.
            std::process::exit(i32::from(Kind::Cancelled.exit_code()));
        }
    };
    // Without a handler the signal ends this program, and what runs sees that.
    let _ = ctrlc::set_handler(handler);
    let (dir, services) = (args.dir.clone(), context.services()?);
    let file = context.config()?.path.clone();
    let said = move || said(&dir, file.as_deref(), &services);
    let first = said()?;
    let workshop = Workshop::open(&args.dir, Arc::new(Talk(context.ui.clone())))?;
    let mount = args.mount.unwrap_or_default();
    let wish = Wish { host: args.host, port: args.port, mount, processes: args.processes, said: Box::new(said) };
    develop::serve(&workshop, &wish, first, &stopped)
}

/// What app.ini and the user's configuration say by now.
fn said(dir: &Path, file: Option<&Path>, services: &Services) -> Result<Said, Failure> {
    Ok(Said { config: Source::config(dir, None, services)?, user: user::load(file)?, services: services.clone() })
}

fn mount(text: &str) -> Result<String, String> {
    let location: Result<crate::names::Location, _> = format!("localhost/{}", text.trim_matches('/')).parse();
    location.map_err(|error| error.to_string())?;
    Ok(format!("/{}", text.trim_matches('/')).trim_end_matches('/').to_owned())
}

/// What happens, on the terminal.
pub(super) struct Talk(pub(super) Ui);

impl Told for Talk {
    fn output(&self, bytes: &[u8]) {
        // Nobody is left to be told when standard error is gone.
        let _ = self.0.pass_on(true, bytes);
    }

    fn serves(&self, app: &str, url: &str, again: bool, seconds: f64) {
        self.0.event(&json!({"event": "serving", "app": app, "url": url, "again": again, "seconds": seconds}));
        if again {
            self.0.say(format!("{app} serves again, after {seconds:.2} s"));
        } else {
            self.0.say(format!("{app} serves at {url} (started in {seconds:.2} s; Ctrl-C ends it)"));
        }
    }

    fn complains(&self, app: &str, url: &str) {
        self.0.event(&json!({"event": "complaining", "app": app, "url": url}));
        self.0.say(format!("{app} cannot be loaded; {url} shows why. Save a file of the app, and it is tried again."));
    }

    fn changed(&self, what: &str) {
        self.0.event(&json!({"event": "changed", "what": what}));
        self.0.say(format!("changed: {what}"));
    }

    fn step(&self, what: &str) {
        self.0.say(what);
    }

    fn request(&self, method: &str, target: &str, status: u16, milliseconds: u128) {
        self.0.say(format!("{method} {target} {status} {milliseconds} ms"));
    }

    fn failed(&self, failure: &Failure) {
        self.0.event(&json!({"event": "failed", "message": failure.message}));
        self.0.tell(failure);
    }
}
