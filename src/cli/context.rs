//! What commands share: the user's configuration, the inventory, providers, and how to get to a node.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::Value;

use super::unfinished::Unfinished;
use super::{Globals, NodeChoice, first_login};
use crate::config::{ProviderConfig, UserConfig, user};
use crate::deploy::{Installed, Probe, Remote};
use crate::error::{Failure, Kind};
use crate::inventory::{Inventory, KnownHosts, NewEvent, NodeRecord};
use crate::names::{AppName, Location};
use crate::node::{Destination, Event, HostKeys, Services, Session, UnknownKey};
use crate::providers::http::{Manners, Tokens, Trace};
use crate::providers::{self, Opening, Provider, Settings, hosts, local};
use crate::ui::{Steps, Ui};

/// How many releases stay on the node when the configuration says nothing.
const KEEP: u32 = 5;

/// A configured cloud that cannot be asked, or did not answer, and why.
#[derive(Debug)]
pub(super) struct Down {
    pub(super) cloud: String,
    pub(super) failure: Failure,
}

/// The configured clouds.
pub(super) struct Clouds {
    pub(super) open: Vec<Arc<dyn Provider>>,
    pub(super) down: Vec<Down>,
}

/// Opened once a run, lazily: `--help` and `init` work with a broken configuration.
pub(super) struct Context {
    pub(super) ui: Ui,
    globals: Globals,
    config: OnceLock<UserConfig>,
    trace: OnceLock<Arc<Trace>>,
    pub(super) unfinished: Unfinished,
}

impl Context {
    pub(super) fn new(ui: Ui, globals: Globals, unfinished: Unfinished) -> Self {
        Context { ui, globals, config: OnceLock::new(), trace: OnceLock::new(), unfinished }
    }

    pub(super) fn globals(&self) -> &Globals {
        &self.globals
    }

    pub(super) fn config(&self) -> Result<&UserConfig, Failure> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config = user::load(self.globals.config.as_deref())?;
        Ok(self.config.get_or_init(|| config))
    }

    /// How many releases of an app stay on a node.
    pub(super) fn keep(&self) -> Result<u32, Failure> {
        Ok(self.config()?.defaults.keep.unwrap_or(KEEP))
    }

    /// The file the configuration is in, whether it is there or not.
    pub(super) fn config_file(&self) -> Result<PathBuf, Failure> {
        self.globals.config.clone().or_else(user::default_path).ok_or_else(|| {
            Failure::new(Kind::Usage, "there is no home directory to keep a configuration in")
                .hint("name a file with --config")
        })
    }

    /// The services apps can ask for; the user's own are in `services`, beside the configuration.
    pub(super) fn services(&self) -> Result<Services, Failure> {
        match self.config_file()?.parent() {
            Some(parent) => Services::load(&parent.join("services")),
            None => Ok(Services::default()),
        }
    }

    pub(super) fn inventory(&self) -> Result<Inventory, Failure> {
        let (inventory, damaged) = Inventory::open()?;
        if let Some(damaged) = damaged {
            self.ui.warn(&damaged.to_string());
        }
        Ok(inventory)
    }

    /// `user@host` of the person at this machine, for locks and the audit log.
    pub(super) fn by(&self) -> String {
        let user = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
        let user = user.or_else(login_name).unwrap_or_else(|| "unknown".to_owned());
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        format!("{user}@{}", host.trim())
    }

    /// The provider section that was asked for, or the default one.
    pub(super) fn provider_config(&self) -> Result<ProviderConfig, Failure> {
        match &self.globals.provider {
            Some(wanted) => self.section(wanted),
            None => match self.config()?.provider(None) {
                Some(section) => Ok(section.clone()),
                None => self.section("default"),
            },
        }
    }

    /// The section of that name; a driver's own name needs none.
    fn section(&self, wanted: &str) -> Result<ProviderConfig, Failure> {
        let config = self.config()?;
        if let Some(section) = config.provider(Some(wanted)) {
            return Ok(section.clone());
        }
        if providers::driver_names().contains(&wanted) {
            return Ok(ProviderConfig {
                name: wanted.to_owned(),
                provider: wanted.to_owned(),
                ..ProviderConfig::default()
            });
        }
        let known: Vec<&str> = config.providers.keys().map(String::as_str).chain(providers::driver_names()).collect();
        Err(Failure::new(Kind::Usage, format!("there is no provider {wanted:?}"))
            .hint(format!("choose one of {}, or add a section [provider:{wanted}]", known.join(", "))))
    }

    /// The provider of a section, whatever was asked for on the command line.
    pub(super) fn provider_named(&self, name: &str) -> Result<Box<dyn Provider>, Failure> {
        self.driver(&self.section(name)?)
    }

    pub(super) fn provider(&self) -> Result<(ProviderConfig, Box<dyn Provider>), Failure> {
        let section = self.provider_config()?;
        let provider = self.driver(&section)?;
        Ok((section, provider))
    }

    /// The same for the work on one of several nodes: see [`Ui::for_one_of_several`].
    pub(super) fn for_one_of_several(&self, node: &str) -> Self {
        Context {
            ui: self.ui.for_one_of_several(node),
            globals: self.globals.clone(),
            config: self.config.clone(),
            trace: self.trace.clone(),
            unfinished: self.unfinished.clone(),
        }
    }

    /// Every provider that is configured, or the one that was asked for; and those that cannot be opened.
    pub(super) fn clouds(&self) -> Result<Clouds, Failure> {
        if self.globals.provider.is_some() {
            return Ok(Clouds { open: vec![self.provider()?.1.into()], down: Vec::new() });
        }
        let mut sections: Vec<ProviderConfig> = self.config()?.providers.values().cloned().collect();
        // This machine has its nodes once, whatever its sections are called.
        sections.sort_by(|a, b| a.provider.cmp(&b.provider));
        sections.dedup_by(|a, b| a.provider == b.provider && [local::NAME, hosts::NAME].contains(&a.provider.as_str()));
        if !sections.iter().any(|section| section.provider == hosts::NAME) {
            sections.push(ProviderConfig {
                name: hosts::NAME.to_owned(),
                provider: hosts::NAME.to_owned(),
                ..ProviderConfig::default()
            });
        }
        let (mut open, mut down) = (Vec::new(), Vec::new());
        for section in sections {
            match self.driver(&section) {
                Ok(provider) => open.push(provider.into()),
                Err(failure) => down.push(Down { cloud: section.name, failure }),
            }
        }
        Ok(Clouds { open, down })
    }

    pub(super) fn driver(&self, section: &ProviderConfig) -> Result<Box<dyn Provider>, Failure> {
        let ask = |question: &str| self.ui.ask_secret(question).ok();
        let settings = Settings { section, ask: &ask };
        let known = if section.provider == hosts::NAME { self.inventory()?.nodes()? } else { Vec::new() };
        Ok(providers::open(&Opening { settings, known, manners: self.manners()? })?)
    }

    /// How the APIs of clouds are talked to in this run.
    fn manners(&self) -> Result<Manners, Failure> {
        let trace = match (self.trace.get(), &self.globals.trace_http) {
            (Some(trace), _) => Some(trace.clone()),
            (None, None) => None,
            (None, Some(file)) => {
                let trace = Trace::open(file).map_err(|error| {
                    Failure::new(Kind::Usage, format!("{} cannot be written: {error}", file.display()))
                })?;
                Some(self.trace.get_or_init(|| Arc::new(trace)).clone())
            }
        };
        let tokens = Tokens::in_dir(Inventory::default_dir().ok().map(|dir| dir.join("tokens")));
        let timeout = Duration::from_secs(self.globals.api_timeout);
        Ok(Manners { timeout, trace, tokens, ..Manners::default() })
    }

    /// The node that was named, or that is known to serve one of the locations or the app, or the default one, or the only one.
    pub(super) fn node(
        &self,
        choice: &NodeChoice,
        app: Option<&AppName>,
        locations: &[Location],
    ) -> Result<NodeRecord, Failure> {
        let inventory = self.inventory()?;
        if let Some(name) = &choice.node {
            return self.named(name);
        }
        for location in locations {
            if let Some(node) = inventory.node_for_location(location)? {
                return Ok(node);
            }
        }
        if let Some(app) = app
            && let Some(node) = inventory.node_for_app(app)?
        {
            return Ok(node);
        }
        let configured = self.config()?.defaults.node.as_ref().map(ToString::to_string);
        if let Some(name) = inventory.default_node()?.or(configured) {
            return self.named(&name);
        }
        match inventory.nodes()?.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(Failure::new(Kind::Usage, "there is no node yet").hint(
                "make one with `cloudtool create-node NAME --setup-node`, or name a server you have with --node HOST",
            )),
            several => {
                let names: Vec<&str> = several.iter().map(|node| node.name.as_str()).collect();
                Err(Failure::new(Kind::Usage, format!("which node? there are {}", names.join(", ")))
                    .hint("say --node NODE, or set one with `cloudtool default-node NODE`"))
            }
        }
    }

    /// The node of that name; a name nobody knows is a host to reach by SSH.
    pub(super) fn named(&self, name: &str) -> Result<NodeRecord, Failure> {
        if let Some(node) = self.inventory()?.find_node(name)? {
            return Ok(node);
        }
        let bare = name.rsplit_once('@').map_or(name, |(_, host)| host);
        if bare.is_empty()
            || bare.starts_with('-')
            || !bare.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:[]".contains(c))
        {
            return Err(Failure::new(Kind::Usage, format!("{name:?} is neither a known node nor a host name"))
                .hint("cloudtool list-nodes shows the nodes"));
        }
        Ok(NodeRecord {
            provider: hosts::NAME.to_owned(),
            id: bare.to_owned(),
            name: bare.to_owned(),
            user: name.rsplit_once('@').map(|(user, _)| user.to_owned()),
            ..NodeRecord::default()
        })
    }

    /// How to get there.
    pub(super) fn destination(&self, node: &NodeRecord) -> Destination {
        // A plain host goes by what its user called it: behind an alias are a proxy, keys and known hosts too, not only an address.
        let called = (node.provider == hosts::NAME).then_some(node.id.as_str());
        let address = called.or(node.address.as_deref()).unwrap_or(&node.name);
        let port = (node.port != 22).then_some(node.port);
        Destination::resolve(&node.name, address, port, node.user.as_deref(), node.identity.as_deref())
    }

    /// Connects with the strict host key check, asking a person about an unknown key.
    pub(super) fn with_host_keys<T>(&self, work: impl FnOnce(&HostKeys) -> Result<T, Failure>) -> Result<T, Failure> {
        let ui = &self.ui;
        let ask = |key: &UnknownKey| {
            ui.say(format!("The host key of {} ({}) is not known:\n  {}", key.node, key.host, key.fingerprint));
            // --yes answers questions about our own doing, not about who is at the other end.
            ui.confirm_strictly("Is this the key of that server?").unwrap_or(false)
        };
        let own = KnownHosts::open()?.path().to_owned();
        work(&HostKeys { own, ask: ui.is_interactive().then_some(&ask) })
    }

    /// Logs in to a node.
    pub(super) fn session(&self, node: &NodeRecord) -> Result<Session, Failure> {
        let destination = self.destination(node);
        if !node.met {
            return first_login::log_in(self, node, &destination);
        }
        self.with_host_keys(|keys| Ok(Session::open(&destination, keys)?))
    }

    pub(super) fn connect(&self, node: &NodeRecord) -> Result<Remote, Failure> {
        Ok(Remote::open(self.session(node)?, &self.by())?)
    }

    /// Connects to a server that may not have the node program yet.
    pub(super) fn connect_installing(&self, node: &NodeRecord) -> Result<(Remote, Installed), Failure> {
        Ok(Remote::install(self.session(node)?, &self.by())?)
    }

    /// Sends a request, shows its steps, and returns its result.
    pub(super) fn call(&self, remote: &mut Remote, request: Value) -> Result<Value, Failure> {
        let mut steps = self.ui.steps();
        let answer = remote.call(request, &mut |event| show(&mut steps, event));
        answer.map_err(crate::node::Error::into_failure)
    }

    /// Asks a node for its facts.
    pub(super) fn probe(&self, remote: &mut Remote, request: Value) -> Result<Probe, Failure> {
        let answer = remote.call(request, &mut |_| {}).map_err(crate::node::Error::into_failure)?;
        Ok(Probe::parse(remote.node(), answer)?)
    }

    /// Sends a request that changes the node, and writes it down as an event.
    pub(super) fn call_recorded(
        &self,
        remote: &mut Remote,
        verb: &str,
        app: Option<&AppName>,
        request: Value,
    ) -> Result<Value, Failure> {
        let answer = self.call(remote, request);
        self.record_answer(remote.node(), verb, app, &answer);
        answer
    }

    /// Writes down what came of a request.
    pub(super) fn record_answer(&self, node: &str, verb: &str, app: Option<&AppName>, answer: &Result<Value, Failure>) {
        let (result, detail) = match answer {
            Ok(answer) => ("done", answer["release"].as_str().map(str::to_owned)),
            Err(failure) => ("failed", Some(failure.message.clone())),
        };
        self.record(verb, Some(node), app, result, detail.as_deref());
    }

    /// Remembers which locations lead to which app of a node, from the answer of an unfiltered `query`.
    pub(super) fn learn(&self, node: &NodeRecord, answer: &Value) -> Result<(), Failure> {
        let mut known = Vec::new();
        for app in answer["apps"].as_array().into_iter().flatten() {
            let Some(Ok(name)) = app["app"].as_str().map(str::parse::<AppName>) else { continue };
            known.extend(locations(app).into_iter().map(|location| (location, name.clone())));
        }
        let mut inventory = self.inventory()?;
        self.know(&inventory, node)?;
        Ok(inventory.learn_locations(&node.provider, &node.id, &known)?)
    }

    /// Asks a node for its locations and remembers them.
    pub(super) fn refresh_locations(&self, node: &NodeRecord, remote: &mut Remote) -> Result<(), Failure> {
        let answer = self.call(remote, serde_json::json!({"verb": "query", "filter": []}))?;
        self.learn(node, &answer)
    }

    /// Remembers the locations of one app, from the answer of a `deploy`.
    pub(super) fn remember_locations(&self, node: &NodeRecord, app: &AppName, answer: &Value) -> Result<(), Failure> {
        let mut inventory = self.inventory()?;
        self.know(&inventory, node)?;
        Ok(inventory.learn_app(&node.provider, &node.id, app, &locations(answer))?)
    }

    fn know(&self, inventory: &Inventory, node: &NodeRecord) -> Result<(), Failure> {
        if inventory.get_node(&node.provider, &node.id)?.is_none() {
            inventory.upsert_node(&NodeRecord { met: true, ..node.clone() })?;
        }
        Ok(())
    }

    /// Writes an event down; a failure to do so is no failure of what was done.
    pub(super) fn record(
        &self,
        verb: &str,
        node: Option<&str>,
        app: Option<&AppName>,
        result: &str,
        detail: Option<&str>,
    ) {
        let by = self.by();
        let event = NewEvent { by: &by, verb, node, app: app.map(AppName::as_str), result, detail };
        let written = self.inventory().and_then(|inventory| Ok(inventory.record_event(&event)?));
        if let Err(failure) = written {
            self.ui.warn(&format!("the event was not recorded: {failure}"));
        }
    }
}

/// The name of the user this process runs as, where the environment does not tell.
fn login_name() -> Option<String> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut users = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    users.find(|fields| fields.get(2) == Some(&uid.as_str())).map(|fields| fields[0].to_owned())
}

/// The `locations` of an answer.
fn locations(answer: &Value) -> Vec<Location> {
    let texts = answer["locations"].as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.filter_map(|text| text.parse().ok()).collect()
}

/// Shows an event of a node.
pub(super) fn show(steps: &mut Steps, event: Event) {
    match event {
        Event::Step { step, state, seconds, detail } => {
            if state == "start" {
                steps.start(&step);
            } else {
                steps.done_in(&step, Event::took(seconds), detail.as_deref().unwrap_or_default());
            }
        }
        Event::Log { source, line } => steps.log(&source, &line),
        Event::Warning { message } => steps.warn(&message),
        Event::Waiting { what, owner, verb, since } => {
            let owner = owner.unwrap_or_else(|| "somebody".to_owned());
            let verb = verb.unwrap_or_else(|| "something".to_owned());
            let since = since.map(|since| format!(" since {since}")).unwrap_or_default();
            steps.waiting(&format!("waiting for the {what}: {owner} is at {verb}{since}"));
        }
        Event::Line { line, .. } => steps.waiting(&line),
        Event::Following => {}
    }
}
