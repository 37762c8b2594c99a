//! An app on this machine, as on a node: what `serve`, `env` and `run --local` share.
//!
//! In comes a directory, out comes an app that answers on a port. [`place`] is what is kept beside the app, [`environment`] what its
//! processes see, [`services`] and [`requirements`] what they need. [`backend`] runs the app as [`child`], [`front`] answers like a
//! slot's Apache ([`files`]) and passes on the rest, [`watch`] sees what changes, [`serve`] puts all of it together. What is
//! told goes through [`Told`]; nothing here knows of nodes.

mod backend;
mod child;
mod environment;
mod files;
mod front;
mod http;
mod page;
mod place;
mod requirements;
mod serve;
mod services;
mod toolbox;
mod update;
mod watch;
mod words;
mod workers;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::config::{AppConfig, Runner, UserConfig};
use crate::error::{Failure, Kind};
use crate::node::Services;
pub use child::shell_status;
use place::Place;
pub use serve::{Said, Wish, serve};
use services::Running;
use toolbox::Toolbox;
pub use words::resolve as resolve_words;

/// What happens, as it happens.
pub trait Told: Send + Sync {
    /// What a program of the app or of a service prints.
    fn output(&self, bytes: &[u8]);
    /// The app answers at `url`; `again` after a change. `seconds` is how long that took.
    fn serves(&self, app: &str, url: &str, again: bool, seconds: f64);
    /// It answers there, with what is wrong with it.
    fn complains(&self, app: &str, url: &str);
    /// What the app is started anew for.
    fn changed(&self, what: &str);
    /// Something takes its time.
    fn step(&self, what: &str);
    fn request(&self, method: &str, target: &str, status: u16, milliseconds: u128);
    /// The app does not serve; it is tried again when something changes.
    fn failed(&self, failure: &Failure);
}

/// What a developer's app is made of.
pub struct Workshop {
    place: Place,
    toolbox: Toolbox,
    told: Arc<dyn Told>,
}

/// An app that can be run: what its processes see, and what has to stay for that.
pub struct Ready {
    pub config: AppConfig,
    pub variables: BTreeMap<String, String>,
    running: Running,
    /// What runs a Python app.
    python: Option<String>,
    /// How modules may come that are not found.
    advice: Option<String>,
}

impl Workshop {
    /// For the app in `dir`.
    pub fn open(dir: &Path, told: Arc<dyn Told>) -> Result<Self, Failure> {
        Ok(Workshop { place: Place::open(dir)?, toolbox: Toolbox::unpack()?, told })
    }

    /// The app's directory.
    pub fn dir(&self) -> &Path {
        &self.place.dir
    }

    /// What the app's processes see, as of the last time that its services ran; they are started once when they never have.
    pub fn variables(
        &self,
        config: AppConfig,
        user: &UserConfig,
        services: &Services,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let given = services::given(&config, user, services)?;
        match services::known(self, &config, services, &given) {
            Some(known) => environment::variables(&self.place, &config, &known, &given, self.venv(&config)?.as_deref()),
            None => Ok(self.prepare(config, user, services, None)?.variables),
        }
    }

    fn venv(&self, config: &AppConfig) -> Result<Option<String>, Failure> {
        let file = config.settings.requirements.as_ref();
        Ok(file.map(|file| requirements::ensure(&self.place, &self.toolbox, file, &self.told)).transpose()?.flatten())
    }

    /// Everything up to the app itself: its virtual environment, its services and its variables. `running` is what runs already.
    pub fn prepare(
        &self,
        config: AppConfig,
        user: &UserConfig,
        services: &Services,
        running: Option<Running>,
    ) -> Result<Ready, Failure> {
        let given = services::given(&config, user, services)?;
        let venv = self.venv(&config)?;
        let running = services::run(self, &config, services, &given, running)?;
        let variables = environment::variables(&self.place, &config, &running.variables, &given, venv.as_deref())?;
        let missing = environment::missing(&config, &variables);
        if !missing.is_empty() {
            let message = format!("{} cannot do without: {}", config.name, missing.join(", "));
            return Err(Failure::new(Kind::Usage, message).hint(format!(
                "set them in [devel:{}] of {}, e.g. {} = something",
                config.name,
                services::config_file(user),
                missing[0]
            )));
        }
        let advice = backend::advice(&config, services);
        let is_python = matches!(config.settings.runner, Some(Runner::Wsgi { .. } | Runner::Paste { .. }));
        let python = is_python.then(|| requirements::interpreter(&self.place, venv.as_deref())).transpose()?;
        Ok(Ready { config, variables, running, python, advice })
    }
}
