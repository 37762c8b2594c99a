//! Hetzner Cloud, API v1 (<https://docs.hetzner.cloud/reference/cloud>): servers of one project, with labels as marks.

use std::collections::HashSet;
use std::time::Duration;

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
pub const NAME: &str = "hetzner";

const ADDRESS: &str = "https://api.hetzner.cloud/v1";

/// `status` of a server.
pub(super) const STATES: &[(&str, NodeState)] = &[
    ("initializing", NodeState::Pending),
    ("starting", NodeState::Pending),
    ("running", NodeState::Running),
    ("stopping", NodeState::Stopping),
    ("off", NodeState::Stopped),
    ("deleting", NodeState::Terminated),
    ("migrating", NodeState::Pending),
    ("rebuilding", NodeState::Pending),
    // The API's own word: it does not know either.
    ("unknown", NodeState::Unknown),
];

pub struct Hetzner {
    name: String,
    api: Api,
    region: Option<String>,
}

impl Hetzner {
    /// Keys: `secret` (or `token`), an API token of a project that may read and write; `region` (a location: `fsn1`); `endpoint`.
    pub fn new(settings: &Settings<'_>, manners: &Manners) -> Result<Self> {
        let api = Api::by_token(settings, &["HCLOUD_TOKEN"], &["HCLOUD_ENDPOINT"], ADDRESS, manners)?;
        Ok(Hetzner { name: settings.name().to_owned(), api, region: settings.section.region.clone() })
    }

    /// All items of a list, page by page.
    fn list(&self, path: &str, field: &str, query: &[(&str, &str)]) -> Result<Vec<Value>> {
        let first = Request::get(path).query("per_page", 50).queries(query);
        self.api.list(first.clone(), field, |answer, _| {
            let next = answer["meta"]["pagination"]["next_page"].as_u64();
            Ok(next.map(|page| first.clone().query("page", page)))
        })
    }

    fn servers(&self, query: &[(&str, &str)]) -> Result<Vec<Node>> {
        self.list("servers", "servers", query)?.into_iter().map(|server| self.node(server)).collect()
    }

    fn node(&self, server: Value) -> Result<Node> {
        let id = server["id"].as_u64().ok_or_else(|| self.api.lacks("servers", "id"))?;
        let status = text(&server, "status").unwrap_or_default();
        let public = &server["public_net"];
        let mut public_ips = address_list([&public["ipv4"]["ip"]]);
        // The API gives a network of 2^64 addresses; the server itself has the first.
        public_ips.extend(address_list([&public["ipv6"]["ip"]]).into_iter().map(|network| match network {
            std::net::IpAddr::V6(network) => (u128::from(network) | 1).to_be_bytes().into(),
            other => other,
        }));
        let private = server["private_net"].as_array().map(Vec::as_slice).unwrap_or_default();
        let private_ips = address_list(private.iter().map(|network| &network["ip"]));
        // Until 2026-07 the location was within the data centre.
        let location = text(&server["location"], "name").or_else(|| text(&server["datacenter"]["location"], "name"));
        Ok(Node {
            name: text(&server, "name").unwrap_or_default(),
            provider: self.name.clone(),
            id: id.to_string(),
            state: NodeState::from_table(STATES, &status),
            access: Access::root_at(&public_ips, &private_ips),
            public_ips,
            private_ips,
            image: name_or_id(&server["image"]),
            size: text(&server["server_type"], "name"),
            location,
            reason: None,
            answer: server,
        })
    }

    /// The path of a server: its ids are numbers.
    fn path(&self, id: &str) -> Result<String> {
        id.parse::<u64>().map(|number| format!("servers/{number}")).map_err(|_| self.missing(id))
    }

    fn act(&self, id: &str, action: &str) -> Result<()> {
        let request = Request::post(format!("{}/actions/{action}", self.path(id)?));
        // Switching on what is on, and off what is off, is the same as once.
        self.api.send(&request.repeatable()).map_err(|error| self.no_such_node(error, id))?;
        Ok(())
    }

    /// The names of the public keys in the project, where those missing are imported.
    fn key_names(&self, wanted: &[String]) -> Result<Vec<Value>> {
        let list = || {
            let known = self.list("ssh_keys", "ssh_keys", &[])?;
            Ok(known.iter().map(|key| (key["name"].clone(), text(key, "public_key").unwrap_or_default())).collect())
        };
        keys::in_account(wanted, list, |key| {
            let body = json!({"name": keys::name_of(key), "public_key": key.line(), "labels": {"cloudtool": ""}});
            let mut made = self.api.json(&Request::post("ssh_keys").json(body))?;
            Ok(made["ssh_key"]["name"].take())
        })
    }

    /// Why a server could not be made: it stays as it is then, or goes.
    fn failure(&self, path: &str) -> Result<Option<String>> {
        let actions = self.list(&format!("{path}/actions"), "actions", &[("status", "error")])?;
        let failed = actions.iter().find(|action| action["command"] == "create_server");
        Ok(failed.map(|action| {
            let (error, unknown) = (&action["error"], String::new);
            format!(
                "{} ({})",
                text(error, "message").unwrap_or_else(unknown),
                text(error, "code").unwrap_or_else(unknown)
            )
        }))
    }
}

/// What an image is called: those of Hetzner by name, which is the same for every architecture, and one's own by id.
fn name_or_id(image: &Value) -> Option<String> {
    text(image, "name").or_else(|| image["id"].as_u64().map(|id| id.to_string()))
}

impl Provider for Hetzner {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn images(&self) -> Result<Vec<Image>> {
        let images = self.list("images", "images", &[("status", "available")])?;
        let mut seen = HashSet::new();
        let images = images.iter().filter(|image| image["deprecated"].is_null()).filter_map(|image| {
            let id = name_or_id(image)?;
            let description = text(image, "description").unwrap_or_default();
            let name = if image["name"].is_string() { id.clone() } else { description.clone() };
            seen.insert(id.clone()).then_some(Image { id, name, description })
        });
        Ok(super::images::default_first(images.collect()))
    }

    fn sizes(&self) -> Result<Vec<Size>> {
        let types = self.list("server_types", "server_types", &[])?;
        let region = self.region.as_deref();
        let sizes =
            types.iter().filter(|size| size["deprecated"] != true && is_offered(size, region)).filter_map(|size| {
                let id = text(size, "name")?;
                Some(Size {
                    name: id.clone(),
                    id,
                    memory_mb: number(&size["memory"]).map(|gigabytes| (gigabytes * 1024.0) as u64),
                    disk_gb: size["disk"].as_u64(),
                    cpus: number(&size["cores"]),
                    price: price(size, region),
                })
            });
        super::sizes::of_region(self, self.region.as_deref(), sizes.collect())
    }

    fn regions(&self) -> Result<Vec<Region>> {
        let locations = self.list("locations", "locations", &[])?;
        let regions = locations.iter().filter_map(|location| {
            let name = text(location, "city").or_else(|| text(location, "description"))?;
            Some(Region { id: text(location, "name")?, name, country: text(location, "country") })
        });
        Ok(default_first(regions.collect(), self.region.as_deref()))
    }

    fn nodes(&self) -> Result<Vec<Node>> {
        self.servers(&[])
    }

    fn get(&self, id: &str) -> Result<Node> {
        let path = self.path(id)?;
        let mut answer = self.api.json(&Request::get(&path)).map_err(|error| self.no_such_node(error, id))?;
        let mut node = self.node(answer["server"].take())?;
        if node.answer["status"] == "initializing" {
            // It may go between the two questions.
            node.reason = self.failure(&path).map_err(|error| self.no_such_node(error, id))?;
            if node.reason.is_some() {
                node.state = NodeState::Error;
            }
        }
        Ok(node)
    }

    fn create(&self, request: &CreateRequest, progress: &dyn Progress) -> Result<Node> {
        if !self.servers(&[("name", request.name.as_str())])?.is_empty() {
            return Err(Error::NameTaken { provider: self.name.clone(), name: request.name.to_string() });
        }
        let keys = self.key_names(&request.authorized_keys)?;
        let mark = order::new_mark();
        let mut body = json!({
            "name": request.name.as_str(),
            "server_type": request.size,
            "image": request.image,
            "ssh_keys": keys,
            "user_data": cloud_init::user_data(request),
            "labels": {"cloudtool": "", "cloudtool-order": mark},
        });
        if let Some(location) = request.location.as_ref().or(self.region.as_ref()) {
            body["location"] = json!(location);
        }
        progress.step(&format!("ordering {}", request.name));
        order::once(
            || {
                let mut answer = self.api.json(&Request::post("servers").json(body))?;
                self.node(answer["server"].take())
            },
            || Ok(self.servers(&[("label_selector", &format!("cloudtool-order=={mark}"))])?.pop()),
        )
    }

    fn destroy(&self, id: &str, progress: &dyn Progress) -> Result<()> {
        progress.step(&format!("destroying {id}"));
        self.api.send(&Request::delete(self.path(id)?)).map_err(|error| self.no_such_node(error, id))?;
        Ok(())
    }

    fn start(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        order::towards(self, id, NodeState::Running, || self.act(id, "poweron"))
    }

    fn stop(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        order::towards(self, id, NodeState::Stopped, || self.act(id, "shutdown"))
    }

    fn reboot(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        self.act(id, "reboot")
    }
}

/// Whether a server type can be had, in the region where one is set. Its `locations` say so since 2025; before, only its prices did.
fn is_offered(size: &Value, region: Option<&str>) -> bool {
    let of_field = |field: &str, key: &str, is_open: fn(&Value) -> bool| {
        let entries = size[field].as_array().map(Vec::as_slice).unwrap_or_default();
        let here = |entry: &&Value| region.is_none_or(|region| entry[key] == region) && is_open(entry);
        (!entries.is_empty()).then(|| entries.iter().any(|entry| here(&entry)))
    };
    of_field("locations", "name", |entry| entry["available"] != false)
        .or_else(|| of_field("prices", "location", |_| true))
        .unwrap_or(true)
}

/// What a server type costs in the region, or else in the cheapest one; without tax.
fn price(size: &Value, region: Option<&str>) -> Option<Price> {
    let prices =
        size["prices"].as_array()?.iter().filter(|price| region.is_none_or(|region| price["location"] == region));
    let net = |price: &Value, field: &str| number(&price[field]["net"]);
    let cheapest = prices.min_by(|a, b| {
        let monthly = |price| net(price, "price_monthly").unwrap_or(f64::MAX);
        monthly(a).total_cmp(&monthly(b))
    })?;
    let (monthly, hourly) = (net(cheapest, "price_monthly"), net(cheapest, "price_hourly"));
    Some(Price { monthly, hourly, currency: "EUR".into() })
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
    first_poll: Duration::from_secs(1),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_the_api_has_a_meaning() {
        let words = [
            "running",
            "initializing",
            "starting",
            "stopping",
            "off",
            "deleting",
            "migrating",
            "rebuilding",
            "unknown",
        ];
        for word in words {
            assert!(STATES.iter().any(|(known, _)| *known == word), "{word}");
        }
    }

    #[test]
    fn a_server_type_is_offered_and_priced_by_region() {
        let size = json!({
            "locations": [{"name": "fsn1", "available": false}, {"name": "hel1", "available": true}],
            "prices": [
                {"location": "fsn1", "price_monthly": {"net": "2.9900", "gross": "3.5581"}, "price_hourly": {"net": "0.0048"}},
                {"location": "hel1", "price_monthly": {"net": "3.9900"}, "price_hourly": {"net": "0.0064"}},
            ],
        });
        assert!(is_offered(&size, None) && is_offered(&size, Some("hel1")));
        assert!(!is_offered(&size, Some("fsn1")) && !is_offered(&size, Some("ash")));
        let old = json!({"prices": [{"location": "fsn1"}]});
        assert!(is_offered(&old, Some("fsn1")) && !is_offered(&old, Some("hel1")));
        let price = |region| price(&size, region).unwrap();
        assert_eq!((price(None).monthly, price(Some("hel1")).hourly), (Some(2.99), Some(0.0064)));
        assert_eq!(price(None).currency, "EUR");
    }
}
