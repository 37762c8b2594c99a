//! Linode (Akamai Cloud), API v4 (<https://techdocs.akamai.com/linode-api/reference/api>): instances, with tags as marks.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::cloud_init;
use super::error::{Error, Result};
use super::http::{Api, Manners, Request, segment};
use super::json::{address_list, number, text};
use super::keys::Key;
use super::node::default_first;
use super::order;
use super::{
    Access, Capabilities, CreateRequest, Image, Node, NodeState, Price, Progress, Provider, Region, Settings, Size,
};

/// The driver's word in `provider = `.
pub const NAME: &str = "linode";

const ADDRESS: &str = "https://api.linode.com/v4";

/// `status` of an instance.
pub(super) const STATES: &[(&str, NodeState)] = &[
    ("provisioning", NodeState::Pending),
    ("booting", NodeState::Pending),
    ("running", NodeState::Running),
    ("rebooting", NodeState::Rebooting),
    ("shutting_down", NodeState::Stopping),
    ("offline", NodeState::Stopped),
    ("stopped", NodeState::Stopped),
    ("billing_suspension", NodeState::Suspended),
    ("deleting", NodeState::Terminated),
    ("cloning", NodeState::Pending),
    ("migrating", NodeState::Pending),
    ("rebuilding", NodeState::Pending),
    ("restoring", NodeState::Pending),
];

pub struct Linode {
    name: String,
    api: Api,
    region: Option<String>,
}

impl Linode {
    /// Keys: `secret` (or `token`), a personal access token that may read and write Linodes, and read images; `region`; `endpoint`.
    pub fn new(settings: &Settings<'_>, manners: &Manners) -> Result<Self> {
        let api = Api::by_token(settings, &["LINODE_TOKEN", "LINODE_CLI_TOKEN"], &[], ADDRESS, manners)?;
        Ok(Linode { name: settings.name().to_owned(), api, region: settings.section.region.clone() })
    }

    /// All items of a list, page by page; those that pass the `filter`, where there is one.
    fn list(&self, path: &str, filter: Option<Value>) -> Result<Vec<Value>> {
        let first = Request::get(path).query("page_size", 100);
        let first = match filter {
            Some(filter) => first.header("x-filter", filter.to_string()),
            None => first,
        };
        self.api.list(first.clone(), "data", |answer, _| {
            let page = answer["page"].as_u64().unwrap_or(1);
            let is_last = answer["pages"].as_u64().is_none_or(|pages| page >= pages);
            Ok((!is_last).then(|| first.clone().query("page", page + 1)))
        })
    }

    fn instances(&self, filter: Option<Value>) -> Result<Vec<Node>> {
        self.list("linode/instances", filter)?.into_iter().map(|instance| self.node(instance)).collect()
    }

    fn node(&self, instance: Value) -> Result<Node> {
        let id = instance["id"].as_u64().ok_or_else(|| self.api.lacks("linode/instances", "id"))?;
        let status = text(&instance, "status").unwrap_or_default();
        let addresses = instance["ipv4"].as_array().map(Vec::as_slice).unwrap_or_default();
        // One list for both kinds.
        let is_private = |ip: &std::net::IpAddr| matches!(ip, std::net::IpAddr::V4(ip) if ip.is_private());
        let (private_ips, mut public_ips): (Vec<_>, Vec<_>) = address_list(addresses).into_iter().partition(is_private);
        public_ips.extend(address_list([&instance["ipv6"]]));
        Ok(Node {
            name: text(&instance, "label").unwrap_or_default(),
            provider: self.name.clone(),
            id: id.to_string(),
            state: NodeState::from_table(STATES, &status),
            access: Access::root_at(&public_ips, &private_ips),
            public_ips,
            private_ips,
            image: text(&instance, "image"),
            size: text(&instance, "type"),
            location: text(&instance, "region"),
            reason: None,
            answer: instance,
        })
    }

    /// The path of an instance: its ids are numbers.
    fn path(&self, id: &str) -> Result<String> {
        id.parse::<u64>().map(|number| format!("linode/instances/{number}")).map_err(|_| self.missing(id))
    }

    fn act(&self, id: &str, action: &str) -> Result<()> {
        let request = Request::post(format!("{}/{action}", self.path(id)?));
        // Booting what runs, and shutting down what is off, is the same as once.
        self.api.send(&request.repeatable()).map_err(|error| self.no_such_node(error, id))?;
        Ok(())
    }
}

impl Provider for Linode {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn images(&self) -> Result<Vec<Image>> {
        let images = self.list("images", None)?;
        let usable = |image: &&Value| image["deprecated"] != true && image["status"] == "available";
        let images = images.iter().filter(usable).filter_map(|image| {
            Some(Image {
                id: text(image, "id")?,
                name: text(image, "label")?,
                description: text(image, "description").unwrap_or_default(),
            })
        });
        Ok(super::images::default_first(images.collect()))
    }

    fn sizes(&self) -> Result<Vec<Size>> {
        let types = self.list("linode/types", None)?;
        let sizes = types.iter().filter_map(|kind| {
            Some(Size {
                id: text(kind, "id")?,
                name: text(kind, "label")?,
                memory_mb: kind["memory"].as_u64(),
                disk_gb: kind["disk"].as_u64().map(|megabytes| megabytes / 1024),
                cpus: number(&kind["vcpus"]),
                price: Some(price(kind, self.region.as_deref())),
            })
        });
        Ok(super::sizes::cheapest_first(sizes.collect()))
    }

    fn regions(&self) -> Result<Vec<Region>> {
        let regions = self.list("regions", None)?;
        let usable =
            |region: &&Value| region["capabilities"].as_array().is_some_and(|can| can.iter().any(|c| c == "Linodes"));
        let regions = regions.iter().filter(usable).filter_map(|region| {
            let country = text(region, "country").map(|country| country.to_uppercase());
            Some(Region { id: text(region, "id")?, name: text(region, "label")?, country })
        });
        Ok(default_first(regions.collect(), self.region.as_deref()))
    }

    fn nodes(&self) -> Result<Vec<Node>> {
        self.instances(None)
    }

    fn get(&self, id: &str) -> Result<Node> {
        let request = Request::get(self.path(id)?);
        self.node(self.api.json(&request).map_err(|error| self.no_such_node(error, id))?)
    }

    fn create(&self, request: &CreateRequest, progress: &dyn Progress) -> Result<Node> {
        if !self.instances(Some(json!({"label": request.name.as_str()})))?.is_empty() {
            return Err(Error::NameTaken { provider: self.name.clone(), name: request.name.to_string() });
        }
        let Some(region) = request.location.as_ref().or(self.region.as_ref()) else {
            let section = &self.name;
            let message = format!("{section} needs a place: give --location, or `region` in [provider:{section}]");
            return Err(Error::Credentials { message });
        };
        // A tag has at most 50 characters.
        let mark = format!("cloudtool:{}", order::new_mark());
        let keys: Vec<String> =
            request.authorized_keys.iter().filter_map(|line| Some(Key::parse(line)?.line())).collect();
        let body = json!({
            "label": request.name.as_str(),
            "region": region,
            "type": request.size,
            "image": request.image,
            "authorized_keys": keys,
            "root_pass": password()?,
            "metadata": {"user_data": STANDARD.encode(cloud_init::user_data(request))},
            "tags": ["cloudtool", mark],
        });
        progress.step(&format!("ordering {}", request.name));
        let made = order::once(
            || self.node(self.api.json(&Request::post("linode/instances").json(body))?),
            || Ok(self.instances(Some(json!({"tags": mark})))?.pop()),
        )?;
        // It has done its work, and tags outlive instances: they would pile up in the account.
        if let Err(error) = self.api.send(&Request::delete(format!("tags/{}", segment(&mark)))) {
            tracing::debug!("the tag of the order stays: {error}");
        }
        Ok(made)
    }

    fn destroy(&self, id: &str, progress: &dyn Progress) -> Result<()> {
        progress.step(&format!("destroying {id}"));
        self.api.send(&Request::delete(self.path(id)?)).map_err(|error| self.no_such_node(error, id))?;
        Ok(())
    }

    fn start(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        order::towards(self, id, NodeState::Running, || self.act(id, "boot"))
    }

    fn stop(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        order::towards(self, id, NodeState::Stopped, || self.act(id, "shutdown"))
    }

    fn reboot(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        self.act(id, "reboot")
    }
}

/// A password for root that nobody will know: the API makes no machine without one, and only keys let anybody in.
fn password() -> Result<String> {
    let mut bytes = [0; 48];
    openssl::rand::rand_bytes(&mut bytes)
        .map_err(|error| Error::Credentials { message: format!("no random numbers can be had: {error}") })?;
    // It must have letters, digits and other characters, which chance alone does not promise.
    Ok(format!("aA1-{}", STANDARD.encode(bytes)))
}

/// What a type costs in the region: some have prices of their own.
fn price(kind: &Value, region: Option<&str>) -> Price {
    let own = kind["region_prices"]
        .as_array()
        .and_then(|prices| prices.iter().find(|price| region.is_some_and(|region| price["id"] == region)));
    let price = own.unwrap_or(&kind["price"]);
    Price { monthly: number(&price["monthly"]), hourly: number(&price["hourly"]), currency: "USD".into() }
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
        let words = [
            "running",
            "offline",
            "booting",
            "rebooting",
            "shutting_down",
            "provisioning",
            "deleting",
            "migrating",
            "rebuilding",
            "cloning",
            "restoring",
            "stopped",
            "billing_suspension",
        ];
        for word in words {
            assert_ne!(NodeState::from_table(STATES, word), NodeState::Unknown, "{word}");
        }
    }

    #[test]
    fn a_region_may_have_its_own_price() {
        let kind = json!({
            "price": {"hourly": 0.0075, "monthly": 5.0},
            "region_prices": [{"id": "br-gru", "hourly": 0.0105, "monthly": 7.0}],
        });
        assert_eq!(price(&kind, Some("br-gru")).monthly, Some(7.0));
        assert_eq!((price(&kind, Some("us-east")).monthly, price(&kind, None).hourly), (Some(5.0), Some(0.0075)));
    }

    #[test]
    fn a_password_is_strong_and_never_the_same() {
        let (one, other) = (password().unwrap(), password().unwrap());
        assert!(one != other && (64..=128).contains(&one.len()), "{}", one.len());
    }
}
