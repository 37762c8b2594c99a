//! The provider `local`: real nodes on this machine. A node is a system container (systemd-nspawn) of a root file system made
//! of the distribution's own packages: its process 1 is systemd, its sshd, apt and Apache are the real ones.
//!
//! Needs root on Linux. All state is files in one directory ([`state`]); whether a node runs is asked of the kernel, so
//! nothing goes stale, and a node outlives the program that made it.

mod catalog;
mod container;
mod error;
mod groups;
mod image;
mod network;
mod root_fs;
mod state;
mod tools;
mod trash;

pub use error::LocalError;

use std::path::{Path, PathBuf};
use std::time::Duration;

use catalog::Release;
use state::{Record, StateDir};

use super::{
    Access, Capabilities, CreateRequest, Error, Image, Node, NodeState, Progress, Provider, Region, Result, Size,
    select,
};

/// The word after `--provider`.
pub const NAME: &str = "local";

/// The only location.
const THIS_MACHINE: &str = "this-machine";

/// Something that this machine cannot do for local nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortcoming {
    /// A sentence.
    pub message: String,
    /// What mends it.
    pub hint: String,
}

/// The nodes of this machine.
pub struct Local {
    state: StateDir,
}

impl Local {
    /// Of the state directory `CLOUDTOOL_LOCAL_DIR`, or else `/var/lib/cloudtool-local`.
    pub fn new() -> Self {
        let set = std::env::var_os("CLOUDTOOL_LOCAL_DIR").filter(|dir| !dir.is_empty());
        Self::in_dir(set.map_or_else(|| PathBuf::from(state::DEFAULT_DIR), PathBuf::from))
    }

    /// Of another state directory, an absolute path. Its nodes have a network of their own.
    pub fn in_dir(dir: PathBuf) -> Self {
        Local { state: StateDir { root: dir } }
    }

    /// What this machine cannot do for local nodes.
    pub fn shortcomings(&self) -> Vec<Shortcoming> {
        let mut found = Vec::new();
        let mut lacks = |message: String, hint: String| found.push(Shortcoming { message, hint });
        let missing = tools::missing();
        if !missing.is_empty() {
            lacks(
                format!("Programs that local nodes need are not there: the packages {}.", missing.join(", ")),
                format!("apt-get install {}", missing.join(" ")),
            );
        }
        if !groups::memory_is_limited() {
            lacks(
                "The memory of a local node's size has no effect: there is neither systemd nor a memory cgroup here."
                    .into(),
                "run local nodes on a machine whose process 1 is systemd".into(),
            );
        }
        if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            lacks(
                "This machine has cgroup version 1: the `memory` of an app is accepted on a local node, but not enforced.".into(),
                "boot it with systemd.unified_cgroup_hierarchy=1, or a newer system".into(),
            );
        }
        if let Some(table) = network::foreign_drop() {
            lacks(
                format!(
                    "The firewall table `{table}` of this machine drops forwarded packets: local nodes may not reach the network."
                ),
                format!("let {table} accept packets from and to 198.18.0.0/15: nft list table {table}"),
            );
        }
        found
    }

    fn existing(&self, id: &str) -> Result<Record> {
        let record = self.state.record(id)?;
        record.ok_or_else(|| Error::NoSuchNode { provider: NAME.into(), id: id.into() })
    }

    fn require_root(&self) -> std::result::Result<(), LocalError> {
        if rustix::process::geteuid().is_root() { Ok(()) } else { Err(LocalError::NeedsRoot) }
    }

    /// The node of a directory under `nodes/`, whatever is in it.
    fn describe(&self, name: &str) -> Result<Node> {
        let record = match self.state.record(name) {
            Ok(Some(record)) => record,
            Ok(None) => return Err(Error::NoSuchNode { provider: NAME.into(), id: name.into() }),
            Err(LocalError::Record { reason, .. }) => return Ok(wreck(name, &reason)),
            Err(error) => return Err(error.into()),
        };
        let (state, reason) = self.node_state(&record);
        let answer = serde_json::to_value(&record).unwrap_or_default();
        // Its owner may have replaced the key since it was made.
        let host_key = root_fs::host_key(&self.state.node(name).join("root")).unwrap_or(record.host_key);
        let host_keys = if host_key.is_empty() { Vec::new() } else { vec![host_key] };
        Ok(Node {
            name: record.name.clone(),
            provider: NAME.into(),
            id: record.name.clone(),
            state,
            public_ips: Vec::new(),
            private_ips: vec![record.address.into()],
            image: Some(record.image),
            size: Some(record.size),
            location: Some(THIS_MACHINE.into()),
            access: Access {
                address: Some(record.address.to_string()),
                port: 22,
                user: "root".into(),
                host_keys,
                forwarded_port: Some(record.forwarded_port),
            },
            reason,
            answer,
        })
    }

    fn node_state(&self, record: &Record) -> (NodeState, Option<String>) {
        let running = container::find(&self.state, &record.name);
        match running {
            _ if !record.complete && self.state.is_locked(&record.name) => (NodeState::Pending, None),
            _ if !record.complete => (NodeState::Error, Some("its creation was interrupted".into())),
            Some(running) if container::answers(running, record) => (NodeState::Running, None),
            Some(_) => (NodeState::Pending, Some("it boots".into())),
            None => (NodeState::Stopped, None),
        }
    }

    /// Reserves address and port by writing the record.
    fn reserve(&self, request: &CreateRequest) -> Result<Record> {
        let _machine = state::lock_machine()?;
        let mut records = self.state.records()?;
        let (network, address, forwarded_port) = network::allocate(&self.state, &records)?;
        let record = Record {
            name: request.name.to_string(),
            image: request.image.clone(),
            size: request.size.clone(),
            network,
            address,
            forwarded_port,
            host_key: String::new(),
            complete: false,
        };
        self.state.write(&record)?;
        records.push(record.clone());
        network::set_up(network, &records)?;
        Ok(record)
    }

    /// Everything of a create after the name is known to be free; see [`Provider::create`].
    fn make(&self, request: &CreateRequest, release: &Release, progress: &dyn Progress) -> Result<()> {
        let image = image::ensure(&self.state, release, progress)?;
        let mut record = self.reserve(request)?;
        let dir = self.state.node(&record.name);
        let root = dir.join("root");
        progress.step(&format!("unpacking {}", release.id));
        root_fs::unpack(&image, &root)?;
        let host_key = match &request.host_key {
            Some(pair) => pair.clone(),
            None => root_fs::make_host_key(&dir)?,
        };
        root_fs::personalise(&root, &record, request, &host_key)?;
        record.host_key = host_key.public;
        progress.step(&format!("booting {}", record.name));
        container::boot(&self.state, &record, release)?;
        record.complete = true;
        Ok(self.state.write(&record)?)
    }

    /// Takes everything of a node away, also of a half-made one; its disk is freed in the background. Hold its lock.
    fn take_away(&self, name: &str) -> Result<()> {
        container::kill(&self.state, name)?;
        let record = self.state.record(name).ok().flatten();
        if let Some(record) = &record {
            groups::remove(&record.machine());
        }
        let _machine = state::lock_machine()?;
        trash::discard(&self.state, name)?;
        let left = self.state.records()?;
        match (left.first(), record) {
            (Some(other), _) => network::set_up(other.network, &left)?,
            (None, Some(record)) => network::tear_down(record.network)?,
            (None, None) => {}
        }
        Ok(trash::empty(&self.state)?)
    }
}

impl Default for Local {
    fn default() -> Self {
        Self::new()
    }
}

pub(super) const CAPABILITIES: Capabilities = Capabilities {
    create: true,
    destroy: true,
    start: true,
    stop: true,
    reboot: true,
    suspend: false,
    host_keys: true,
    user_data: false,
    prices: false,
    first_poll: Duration::from_millis(50),
};

impl Provider for Local {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn images(&self) -> Result<Vec<Image>> {
        Ok(image::list(&self.state))
    }

    fn sizes(&self) -> Result<Vec<Size>> {
        Ok(catalog::sizes())
    }

    fn regions(&self) -> Result<Vec<Region>> {
        Ok(vec![Region { id: THIS_MACHINE.into(), name: THIS_MACHINE.into(), country: None }])
    }

    fn nodes(&self) -> Result<Vec<Node>> {
        let mut nodes = Vec::new();
        for name in self.state.names()? {
            match self.describe(&name) {
                // Destroyed since the names were read.
                Err(Error::NoSuchNode { .. }) => {}
                described => nodes.push(described?),
            }
        }
        Ok(nodes)
    }

    fn get(&self, id: &str) -> Result<Node> {
        self.describe(id)
    }

    fn create(&self, request: &CreateRequest, progress: &dyn Progress) -> Result<Node> {
        self.require_root()?;
        let release = Release::by_id(&request.image).map_or_else(
            || select(NAME, &request.image, &image::list(&self.state)).map(|image| Release::by_id(&image.id)),
            |release| Ok(Some(release)),
        )?;
        let no_match = |what, pattern: &str| Error::NoMatch {
            provider: NAME.into(),
            what,
            pattern: pattern.into(),
            nearest: None,
        };
        let release = release.ok_or_else(|| no_match("image", &request.image))?;
        if catalog::memory_mb(&request.size).is_none() {
            return Err(no_match("size", &request.size));
        }
        tools::require(progress)?;
        self.state.create()?;
        let name = request.name.as_str();
        let _lock = self.state.lock(name)?;
        if self.state.node(name).exists() {
            return Err(Error::NameTaken { provider: NAME.into(), name: name.into() });
        }
        if let Some(table) = network::foreign_drop() {
            progress.warning(&format!(
                "The firewall table `{table}` of this machine drops forwarded packets: the node may not reach the network."
            ));
        }
        if !groups::memory_is_limited() {
            progress.warning("This machine cannot limit the memory of a node: the size has no effect.");
        }
        if let Err(error) = self.make(request, release, progress) {
            if self.state.node(name).exists() {
                progress.step(&format!("taking {name} away again"));
                self.take_away(name)?;
            }
            self.state.forget_lock(name);
            return Err(error);
        }
        self.describe(name)
    }

    fn destroy(&self, id: &str, progress: &dyn Progress) -> Result<()> {
        self.require_root()?;
        if !self.state.names()?.iter().any(|name| name == id) {
            return Err(Error::NoSuchNode { provider: NAME.into(), id: id.into() });
        }
        let _lock = self.state.lock(id)?;
        if self.state.node(id).exists() {
            progress.step(&format!("destroying {id}"));
            self.take_away(id)?;
        }
        self.state.forget_lock(id);
        Ok(())
    }

    fn start(&self, id: &str, progress: &dyn Progress) -> Result<()> {
        self.require_root()?;
        self.existing(id)?;
        let _lock = self.state.lock(id)?;
        self.start_locked(id, progress)
    }

    fn stop(&self, id: &str, progress: &dyn Progress) -> Result<()> {
        self.require_root()?;
        self.existing(id)?;
        let _lock = self.state.lock(id)?;
        progress.step(&format!("shutting {id} down"));
        Ok(container::stop(&self.state, id)?)
    }

    fn reboot(&self, id: &str, progress: &dyn Progress) -> Result<()> {
        self.require_root()?;
        self.existing(id)?;
        let _lock = self.state.lock(id)?;
        progress.step(&format!("shutting {id} down"));
        container::stop(&self.state, id)?;
        self.start_locked(id, progress)
    }
}

impl Local {
    fn start_locked(&self, id: &str, progress: &dyn Progress) -> Result<()> {
        let record = self.existing(id)?;
        if container::find(&self.state, id).is_some() {
            return Ok(());
        }
        tools::require(progress)?;
        {
            // After a reboot of this machine the bridge is gone.
            let _machine = state::lock_machine()?;
            network::set_up(record.network, &self.state.records()?)?;
        }
        progress.step(&format!("booting {id}"));
        let release = Release::by_id(&record.image).ok_or_else(|| Error::NoMatch {
            provider: NAME.into(),
            what: "image",
            pattern: record.image.clone(),
            nearest: None,
        })?;
        Ok(container::boot(&self.state, &record, release)?)
    }
}

/// A node whose record cannot be read: it can only be destroyed.
fn wreck(name: &str, reason: &str) -> Node {
    Node {
        name: name.into(),
        provider: NAME.into(),
        id: name.into(),
        state: NodeState::Error,
        public_ips: Vec::new(),
        private_ips: Vec::new(),
        image: None,
        size: None,
        location: Some(THIS_MACHINE.into()),
        access: Access::default(),
        reason: Some(reason.into()),
        answer: serde_json::Value::Null,
    }
}
