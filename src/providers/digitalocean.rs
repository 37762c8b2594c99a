//! DigitalOcean, API v2 (<https://docs.digitalocean.com/reference/api/>): droplets, with tags as marks.

use std::time::Duration;

use serde_json::{Value, json};

use super::cloud_init;
use super::error::{Error, Result};
use super::http::{Api, Manners, Request, segment};
use super::json::{address_list, number, text};
use super::keys;
use super::node::default_first;
use super::order;
use super::{
    Access, Capabilities, CreateRequest, Image, Node, NodeState, Price, Progress, Provider, Region, Settings, Size,
};

/// The driver's word in `provider = `.
pub const NAME: &str = "digitalocean";

const ADDRESS: &str = "https://api.digitalocean.com/v2";

/// `status` of a droplet.
pub(super) const STATES: &[(&str, NodeState)] = &[
    ("new", NodeState::Pending),
    ("active", NodeState::Running),
    ("off", NodeState::Stopped),
    ("archive", NodeState::Terminated),
];

pub struct DigitalOcean {
    name: String,
    api: Api,
    region: Option<String>,
}

impl DigitalOcean {
    /// Keys: `secret` (or `token`), a personal access token; `region`; `endpoint`.
    pub fn new(settings: &Settings<'_>, manners: &Manners) -> Result<Self> {
        let api = Api::by_token(settings, &["DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"], &[], ADDRESS, manners)?;
        Ok(DigitalOcean { name: settings.name().to_owned(), api, region: settings.section.region.clone() })
    }

    /// All items of a list, page by page.
    fn list(&self, path: &str, field: &str, query: &[(&str, &str)]) -> Result<Vec<Value>> {
        let first = Request::get(path).query("per_page", 200).queries(query);
        self.api.list(first, field, |answer, _| {
            let Some(next) = answer["links"]["pages"]["next"].as_str() else { return Ok(None) };
            self.api.own_path(next).map(|path| Some(Request::get(path))).ok_or_else(|| self.api.foreign_link(next))
        })
    }

    fn droplets(&self, query: &[(&str, &str)]) -> Result<Vec<Node>> {
        self.list("droplets", "droplets", query)?.into_iter().map(|droplet| self.node(droplet)).collect()
    }

    fn node(&self, droplet: Value) -> Result<Node> {
        let id = droplet["id"].as_u64().ok_or_else(|| self.api.lacks("droplets", "id"))?;
        let status = text(&droplet, "status").unwrap_or_default();
        let mut ips: [Vec<_>; 2] = Default::default();
        for (index, kind) in ["public", "private"].into_iter().enumerate() {
            for family in ["v4", "v6"] {
                let networks = droplet["networks"][family].as_array().map(Vec::as_slice).unwrap_or_default();
                let of_kind = networks.iter().filter(|network| network["type"] == kind);
                ips[index].extend(address_list(of_kind.map(|network| &network["ip_address"])));
            }
        }
        let [public_ips, private_ips] = ips;
        Ok(Node {
            name: text(&droplet, "name").unwrap_or_default(),
            provider: self.name.clone(),
            id: id.to_string(),
            state: NodeState::from_table(STATES, &status),
            access: Access::root_at(&public_ips, &private_ips),
            public_ips,
            private_ips,
            image: text(&droplet["image"], "slug").or_else(|| droplet["image"]["id"].as_u64().map(|id| id.to_string())),
            size: text(&droplet, "size_slug"),
            location: text(&droplet["region"], "slug"),
            reason: None,
            answer: droplet,
        })
    }

    /// The path of a droplet: its ids are numbers.
    fn path(&self, id: &str) -> Result<String> {
        id.parse::<u64>().map(|number| format!("droplets/{number}")).map_err(|_| self.missing(id))
    }

    fn act(&self, id: &str, action: &str) -> Result<()> {
        let request = Request::post(format!("{}/actions", self.path(id)?)).json(json!({"type": action}));
        // Switching on what is on, and off what is off, is the same as once.
        self.api.send(&request.repeatable()).map_err(|error| self.no_such_node(error, id))?;
        Ok(())
    }

    /// The ids of the public keys in the account, where those missing are imported.
    fn key_ids(&self, wanted: &[String]) -> Result<Vec<Value>> {
        let list = || {
            let known = self.list("account/keys", "ssh_keys", &[])?;
            Ok(known.iter().map(|key| (key["id"].clone(), text(key, "public_key").unwrap_or_default())).collect())
        };
        keys::in_account(wanted, list, |key| {
            let body = json!({"name": keys::name_of(key), "public_key": key.line()});
            let mut made = self.api.json(&Request::post("account/keys").json(body))?;
            Ok(made["ssh_key"]["id"].take())
        })
    }

    /// Whether the making of a droplet failed: it stays `new` for ever then.
    fn has_failed(&self, path: &str) -> Result<bool> {
        let actions = self.list(&format!("{path}/actions"), "actions", &[])?;
        Ok(actions.iter().any(|action| action["type"] == "create" && action["status"] == "errored"))
    }
}

impl Provider for DigitalOcean {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn images(&self) -> Result<Vec<Image>> {
        let mut list = self.list("images", "images", &[("type", "distribution")])?;
        list.extend(self.list("images", "images", &[("private", "true")])?);
        let images = list.iter().filter(|image| image["status"] != "retired").filter_map(|image| {
            let name = text(image, "name")?;
            let distribution = text(image, "distribution").unwrap_or_default();
            let id = text(image, "slug").or_else(|| image["id"].as_u64().map(|id| id.to_string()))?;
            Some(Image { name: id.clone(), id, description: format!("{distribution} {name}") })
        });
        Ok(super::images::default_first(images.collect()))
    }

    fn sizes(&self) -> Result<Vec<Size>> {
        let sizes = self.list("sizes", "sizes", &[])?;
        let here = |size: &&Value| {
            size["available"] != false
                && self.region.as_ref().is_none_or(|region| {
                    size["regions"].as_array().is_some_and(|regions| regions.iter().any(|one| one == region.as_str()))
                })
        };
        let sizes = sizes.iter().filter(here).filter_map(|size| {
            let id = text(size, "slug")?;
            Some(Size {
                name: id.clone(),
                id,
                memory_mb: size["memory"].as_u64(),
                disk_gb: size["disk"].as_u64(),
                cpus: number(&size["vcpus"]),
                price: Some(Price {
                    monthly: number(&size["price_monthly"]),
                    hourly: number(&size["price_hourly"]),
                    currency: "USD".into(),
                }),
            })
        });
        super::sizes::of_region(self, self.region.as_deref(), sizes.collect())
    }

    fn regions(&self) -> Result<Vec<Region>> {
        let regions = self.list("regions", "regions", &[])?;
        let regions = regions.iter().filter(|region| region["available"] != false).filter_map(|region| {
            Some(Region { id: text(region, "slug")?, name: text(region, "name")?, country: None })
        });
        Ok(default_first(regions.collect(), self.region.as_deref()))
    }

    fn nodes(&self) -> Result<Vec<Node>> {
        self.droplets(&[])
    }

    fn get(&self, id: &str) -> Result<Node> {
        let path = self.path(id)?;
        let mut answer = self.api.json(&Request::get(&path)).map_err(|error| self.no_such_node(error, id))?;
        let mut node = self.node(answer["droplet"].take())?;
        // It may go between the two questions.
        let has_failed = || self.has_failed(&path).map_err(|error| self.no_such_node(error, id));
        if node.state == NodeState::Pending && has_failed()? {
            node.state = NodeState::Error;
            node.reason = Some("DigitalOcean says no more than that it could not be made".into());
        }
        Ok(node)
    }

    fn create(&self, request: &CreateRequest, progress: &dyn Progress) -> Result<Node> {
        if !self.droplets(&[("name", request.name.as_str())])?.is_empty() {
            return Err(Error::NameTaken { provider: self.name.clone(), name: request.name.to_string() });
        }
        let region = request.location.as_ref().or(self.region.as_ref());
        let keys = self.key_ids(&request.authorized_keys)?;
        let mark = format!("cloudtool-order-{}", order::new_mark());
        let mut body = json!({
            "name": request.name.as_str(),
            "size": request.size,
            "image": request.image.parse::<u64>().map_or_else(|_| json!(request.image), |id| json!(id)),
            "ssh_keys": keys,
            "user_data": cloud_init::user_data(request),
            "ipv6": true,
            "tags": ["cloudtool", mark],
        });
        if let Some(region) = region {
            body["region"] = json!(region);
        }
        progress.step(&format!("ordering {}", request.name));
        let made = order::once(
            || {
                let mut answer = self.api.json(&Request::post("droplets").json(body))?;
                self.node(answer["droplet"].take())
            },
            || Ok(self.droplets(&[("tag_name", &mark)])?.pop()),
        )?;
        // It has done its work, and tags outlive droplets: they would pile up in the account.
        if let Err(error) = self.api.send(&Request::delete(format!("tags/{}", segment(&mark)))) {
            tracing::debug!("the tag of the order stays: {error}");
        }
        Ok(made)
    }

    fn destroy(&self, id: &str, progress: &dyn Progress) -> Result<()> {
        progress.step(&format!("destroying {id}"));
        let request = Request::delete(self.path(id)?);
        self.api.send(&request).map_err(|error| self.no_such_node(error, id))?;
        Ok(())
    }

    fn start(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        order::towards(self, id, NodeState::Running, || self.act(id, "power_on"))
    }

    fn stop(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        order::towards(self, id, NodeState::Stopped, || self.act(id, "shutdown"))
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
    first_poll: Duration::from_secs(2),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_the_api_has_a_meaning() {
        for word in ["new", "active", "off", "archive"] {
            assert_ne!(NodeState::from_table(STATES, word), NodeState::Unknown, "{word}");
        }
    }
}
