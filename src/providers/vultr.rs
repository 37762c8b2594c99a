//! Vultr, API v2 (<https://www.vultr.com/api/>): instances, with tags as marks.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::cloud_init;
use super::error::{Error, Result};
use super::http::{Api, Manners, Request};
use super::json::{address_list, number, text};
use super::keys;
use super::node::default_first;
use super::order;
use super::{
    Access, Capabilities, CreateRequest, Image, Node, NodeState, Price, Progress, Provider, Region, Settings, Size,
};

/// The driver's word in `provider = `.
pub const NAME: &str = "vultr";

const ADDRESS: &str = "https://api.vultr.com/v2";

/// `status` of an instance; what an active one does, the two other tables say.
pub(super) const STATES: &[(&str, NodeState)] = &[
    ("pending", NodeState::Pending),
    ("active", NodeState::Running),
    ("resizing", NodeState::Pending),
    ("suspended", NodeState::Suspended),
];
/// `power_status` of an active instance.
const POWER_STATES: &[(&str, NodeState)] =
    &[("running", NodeState::Running), ("starting", NodeState::Pending), ("stopped", NodeState::Stopped)];
/// `server_status` of an active instance that has power.
const SERVER_STATES: &[(&str, NodeState)] = &[
    ("none", NodeState::Pending),
    ("locked", NodeState::Pending),
    ("installingbooting", NodeState::Pending),
    ("ok", NodeState::Running),
];

/// Entries of the list of systems that stand for something else.
const NO_SYSTEMS: [&str; 5] = ["application", "backup", "iso", "marketplace", "snapshot"];

pub struct Vultr {
    name: String,
    api: Api,
    region: Option<String>,
}

impl Vultr {
    /// Keys: `secret` (or `token`), an API key whose access list has this machine's address; `region`; `endpoint`.
    pub fn new(settings: &Settings<'_>, manners: &Manners) -> Result<Self> {
        let api = Api::by_token(settings, &["VULTR_API_KEY"], &[], ADDRESS, manners)?;
        Ok(Vultr { name: settings.name().to_owned(), api, region: settings.section.region.clone() })
    }

    /// All items of a list, page by page.
    fn list(&self, path: &str, field: &str, query: &[(&str, &str)]) -> Result<Vec<Value>> {
        let first = Request::get(path).query("per_page", 500).queries(query);
        self.api.list(first.clone(), field, |answer, _| {
            let cursor = text(&answer["meta"]["links"], "next");
            Ok(cursor.map(|cursor| first.clone().query("cursor", cursor)))
        })
    }

    fn instances(&self, query: &[(&str, &str)]) -> Result<Vec<Node>> {
        self.list("instances", "instances", query)?.into_iter().map(|instance| self.node(instance)).collect()
    }

    fn node(&self, mut instance: Value) -> Result<Node> {
        let id = text(&instance, "id").ok_or_else(|| self.api.lacks("instances", "id"))?;
        if let Some(fields) = instance.as_object_mut() {
            // Only the answer to an order has it, and the inventory keeps answers.
            fields.remove("default_password");
        }
        let public_ips = address_list([&instance["main_ip"], &instance["v6_main_ip"]]);
        let private_ips = address_list([&instance["internal_ip"]]);
        // A snapshot's instance has a number for "snapshot" as its system.
        let system = instance["os_id"].as_u64().map(|id| id.to_string());
        Ok(Node {
            name: text(&instance, "label").unwrap_or_default(),
            provider: self.name.clone(),
            id,
            state: state(&instance),
            access: Access::root_at(&public_ips, &private_ips),
            public_ips,
            private_ips,
            image: text(&instance, "snapshot_id").or(text(&instance, "image_id")).or(system),
            size: text(&instance, "plan"),
            location: text(&instance, "region"),
            reason: None,
            answer: instance,
        })
    }

    /// The path of an instance: its ids are UUIDs.
    fn path(&self, id: &str) -> Result<String> {
        uuid::Uuid::parse_str(id).map(|uuid| format!("instances/{uuid}")).map_err(|_| self.missing(id))
    }

    fn act(&self, id: &str, action: &str) -> Result<()> {
        let request = Request::post(format!("{}/{action}", self.path(id)?));
        // Starting what runs, and halting what is off, is the same as once.
        self.api.send(&request.repeatable()).map_err(|error| self.no_such_node(error, id))?;
        Ok(())
    }

    /// The ids of the public keys in the account, where those missing are imported.
    fn key_ids(&self, wanted: &[String]) -> Result<Vec<Value>> {
        let list = || {
            let known = self.list("ssh-keys", "ssh_keys", &[])?;
            Ok(known.iter().map(|key| (key["id"].clone(), text(key, "ssh_key").unwrap_or_default())).collect())
        };
        keys::in_account(wanted, list, |key| {
            let body = json!({"name": keys::name_of(key), "ssh_key": key.line()});
            let mut made = self.api.json(&Request::post("ssh-keys").json(body))?;
            Ok(made["ssh_key"]["id"].take())
        })
    }
}

/// The state of an instance, of three fields of the API.
fn state(instance: &Value) -> NodeState {
    let read = |table, field| NodeState::from_table(table, instance[field].as_str().unwrap_or_default());
    match read(STATES, "status") {
        NodeState::Running => match read(POWER_STATES, "power_status") {
            NodeState::Running => read(SERVER_STATES, "server_status"),
            other => other,
        },
        other => other,
    }
}

impl Provider for Vultr {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn images(&self) -> Result<Vec<Image>> {
        let systems = self.list("os", "os", &[])?;
        let usable = |system: &&Value| system["family"].as_str().is_none_or(|family| !NO_SYSTEMS.contains(&family));
        let systems = systems.iter().filter(usable).filter_map(|system| {
            let description = [text(system, "family"), text(system, "arch")].into_iter().flatten().collect::<Vec<_>>();
            Some(Image {
                id: system["id"].as_u64()?.to_string(),
                name: text(system, "name")?,
                description: description.join(", "),
            })
        });
        let mut images: Vec<Image> = systems.collect();
        let snapshots = self.list("snapshots", "snapshots", &[])?;
        images.extend(snapshots.iter().filter(|snapshot| snapshot["status"] == "complete").filter_map(|snapshot| {
            let id = text(snapshot, "id")?;
            let name = text(snapshot, "description").unwrap_or_else(|| id.clone());
            Some(Image { id, name, description: "snapshot".into() })
        }));
        Ok(super::images::default_first(images))
    }

    fn sizes(&self) -> Result<Vec<Size>> {
        let plans = self.list("plans", "plans", &[])?;
        let here = |plan: &&Value| {
            let locations = plan["locations"].as_array().map(Vec::as_slice).unwrap_or_default();
            match &self.region {
                Some(region) => locations.iter().any(|location| location == region.as_str()),
                // Sold out everywhere.
                None => !locations.is_empty(),
            }
        };
        let sizes = plans.iter().filter(here).filter_map(|plan| {
            let id = text(plan, "id")?;
            Some(Size {
                name: id.clone(),
                id,
                memory_mb: plan["ram"].as_u64(),
                disk_gb: plan["disk"].as_u64(),
                cpus: number(&plan["vcpu_count"]),
                price: Some(Price {
                    monthly: number(&plan["monthly_cost"]),
                    hourly: number(&plan["hourly_cost"]),
                    currency: "USD".into(),
                }),
            })
        });
        super::sizes::of_region(self, self.region.as_deref(), sizes.collect())
    }

    fn regions(&self) -> Result<Vec<Region>> {
        let regions = self.list("regions", "regions", &[])?;
        let regions = regions.iter().filter_map(|region| {
            Some(Region { id: text(region, "id")?, name: text(region, "city")?, country: text(region, "country") })
        });
        Ok(default_first(regions.collect(), self.region.as_deref()))
    }

    fn nodes(&self) -> Result<Vec<Node>> {
        self.instances(&[])
    }

    fn get(&self, id: &str) -> Result<Node> {
        let request = Request::get(self.path(id)?);
        let mut answer = self.api.json(&request).map_err(|error| self.no_such_node(error, id))?;
        self.node(answer["instance"].take())
    }

    fn create(&self, request: &CreateRequest, progress: &dyn Progress) -> Result<Node> {
        let name = request.name.as_str();
        if !self.instances(&[("label", name)])?.is_empty() {
            return Err(Error::NameTaken { provider: self.name.clone(), name: name.to_owned() });
        }
        let Some(region) = request.location.as_ref().or(self.region.as_ref()) else {
            let section = &self.name;
            let message = format!("{section} needs a place: give --location, or `region` in [provider:{section}]");
            return Err(Error::Credentials { message });
        };
        let keys = self.key_ids(&request.authorized_keys)?;
        let mark = format!("cloudtool-order-{}", order::new_mark());
        let mut body = json!({
            "label": name,
            "hostname": name,
            "region": region,
            "plan": request.size,
            "sshkey_id": keys,
            "user_data": STANDARD.encode(cloud_init::user_data(request)),
            "enable_ipv6": true,
            "backups": "disabled",
            "tags": ["cloudtool", mark],
        });
        // Systems have numbers, snapshots UUIDs.
        match request.image.parse::<u64>() {
            Ok(system) => body["os_id"] = json!(system),
            Err(_) => body["snapshot_id"] = json!(request.image),
        }
        progress.step(&format!("ordering {name}"));
        order::once(
            || {
                let mut answer = self.api.json(&Request::post("instances").json(body))?;
                self.node(answer["instance"].take())
            },
            || {
                let is_ours = |node: &Node| {
                    node.answer["tags"].as_array().is_some_and(|tags| tags.iter().any(|tag| tag == mark.as_str()))
                };
                Ok(self.instances(&[("label", name)])?.into_iter().find(is_ours))
            },
        )
    }

    fn destroy(&self, id: &str, progress: &dyn Progress) -> Result<()> {
        progress.step(&format!("destroying {id}"));
        self.api.send(&Request::delete(self.path(id)?)).map_err(|error| self.no_such_node(error, id))?;
        Ok(())
    }

    fn start(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        order::towards(self, id, NodeState::Running, || self.act(id, "start"))
    }

    fn stop(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        order::towards(self, id, NodeState::Stopped, || self.act(id, "halt"))
    }

    fn reboot(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        self.act(id, "reboot")
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
    user_data: true,
    prices: true,
    first_poll: Duration::from_secs(3),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_the_api_has_a_meaning() {
        for status in ["pending", "active", "suspended", "resizing"] {
            for power in ["running", "starting", "stopped"] {
                for server in ["none", "locked", "installingbooting", "ok"] {
                    let instance = json!({"status": status, "power_status": power, "server_status": server});
                    assert_ne!(state(&instance), NodeState::Unknown, "{instance}");
                }
            }
        }
        assert_eq!(state(&json!({"status": "closed"})), NodeState::Unknown);
    }

    #[test]
    fn an_active_instance_runs_when_it_has_power_and_is_installed() {
        let active =
            |power, server| state(&json!({"status": "active", "power_status": power, "server_status": server}));
        assert_eq!(active("running", "ok"), NodeState::Running);
        assert_eq!(active("running", "installingbooting"), NodeState::Pending);
        assert_eq!(active("stopped", "ok"), NodeState::Stopped);
    }
}
