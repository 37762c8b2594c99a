//! OpenStack (<https://docs.openstack.org/api-ref/>): Keystone v3, Nova, Glance; metadata as marks.
//!
//! [`account`] says who asks, [`keystone`] and [`session`] get the token and the [`catalog`], and [`nova`] is the compute service,
//! which classic Rackspace has too.

mod account;
pub(super) mod catalog;
mod clouds_yaml;
mod keystone;
pub(super) mod nova;
pub(super) mod session;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};

use super::error::Result;
use super::http::{Api, Manners, Request};
use super::json::text;
use super::{Capabilities, CreateRequest, Image, Node, Progress, Provider, Region, Settings, Size};
use account::Account;
use catalog::{Endpoint, Wish};
use keystone::Keystone;
use nova::Nova;
use session::{ByToken, Session};

/// The driver's word in `provider = `.
pub const NAME: &str = "openstack";

pub struct OpenStack {
    name: String,
    account: Account,
    manners: Manners,
    session: Arc<Session>,
    compute: OnceLock<Nova>,
    image: OnceLock<Api>,
    /// The id of the network for new nodes, where the project has several.
    network: Option<String>,
}

impl OpenStack {
    /// Keys: `endpoint` (Keystone's address), `username`, `secret` (or `password`), `project`, `domain`, `region`, `interface`, or
    /// `application_credential` (its id) and `secret`; or `profile`, a cloud of `clouds.yaml` (of `credentials_file`); `network`.
    /// Without `endpoint` and `profile`: `OS_CLOUD` or the other variables `OS_*`.
    pub fn new(settings: &Settings<'_>, manners: &Manners) -> Result<Self> {
        let account = Account::read(settings, &|name| std::env::var(name).ok())?;
        let name = settings.name().to_owned();
        let keystone = Keystone::new(&name, &account, manners)?;
        let drawer = manners.tokens.of(&[NAME, &account.auth_url, &account.body().to_string()]);
        Ok(OpenStack {
            session: Session::new(keystone, drawer),
            network: settings.text(&["network"], &[])?,
            compute: OnceLock::new(),
            image: OnceLock::new(),
            manners: manners.clone(),
            account,
            name,
        })
    }

    /// The API of a service of the catalogue; `root` makes its base address of the catalogue's.
    fn service(&self, kind: &str, root: fn(&str) -> &str) -> Result<Api> {
        let endpoint = self.endpoint(kind)?;
        let api = Api::new(&self.name, root(&endpoint.url), Box::new(ByToken(self.session.clone())), &self.manners)?
            .with_address_from("Keystone's catalogue");
        Ok(api.with_credentials(&self.account.from, std::slice::from_ref(&self.account.secret)))
    }

    fn endpoint(&self, kind: &str) -> Result<Endpoint> {
        let all: Vec<Endpoint> = serde_json::from_value(self.session.token()?.extra).unwrap_or_default();
        let of_kind: Vec<Endpoint> = all
            .into_iter()
            .filter(|endpoint| endpoint.kind == kind && endpoint.interface == self.account.interface)
            .collect();
        let region = self.account.region.as_ref();
        let wish =
            Wish { region: region.map(|found| found.value.expose()), from: region.map_or("", |found| &found.from) };
        catalog::choose(&self.name, kind, &of_kind, wish).cloned()
    }

    fn nova(&self) -> Result<&Nova> {
        if let Some(nova) = self.compute.get() {
            return Ok(nova);
        }
        let api = self.service("compute", |url| url)?;
        Ok(self.compute.get_or_init(|| Nova::new(api)))
    }

    fn glance(&self) -> Result<&Api> {
        if let Some(api) = self.image.get() {
            return Ok(api);
        }
        // The catalogue has it with and without the version.
        let api = self.service("image", |url| {
            let url = url.trim_end_matches('/');
            url.strip_suffix("/v2").unwrap_or(url)
        })?;
        Ok(self.image.get_or_init(|| api))
    }

    /// All images a node can be made of, page by page; by the last one's id, as Nova's lists.
    fn active_images(&self) -> Result<Vec<Value>> {
        let first = Request::get("v2/images").query("status", "active").query("limit", 1000);
        self.glance()?.list(first.clone(), "images", |answer, images| {
            let last = images.last().filter(|_| answer["next"].is_string()).and_then(|image| text(image, "id"));
            Ok(last.map(|marker| first.clone().query("marker", marker)))
        })
    }
}

impl Provider for OpenStack {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn images(&self) -> Result<Vec<Image>> {
        let images = self.active_images()?;
        let images = images.iter().filter_map(|image| {
            let words = ["os_distro", "os_version", "architecture", "hw_architecture"];
            Some(Image {
                id: text(image, "id")?,
                name: text(image, "name").or_else(|| text(image, "id"))?,
                description: words.iter().filter_map(|word| text(image, word)).collect::<Vec<_>>().join(" "),
            })
        });
        Ok(super::images::default_first(images.collect()))
    }

    fn sizes(&self) -> Result<Vec<Size>> {
        Ok(super::sizes::cheapest_first(self.nova()?.flavors()?))
    }

    /// The availability zones of the region: a section of the configuration is one region.
    fn regions(&self) -> Result<Vec<Region>> {
        const PATH: &str = "os-availability-zone";
        let nova = self.nova()?;
        let answer = nova.api().json(&Request::get(PATH))?;
        let zones = answer["availabilityZoneInfo"].as_array();
        let zones = zones.ok_or_else(|| nova.api().lacks(PATH, "availabilityZoneInfo"))?;
        let region = self.endpoint("compute")?.region;
        let open = zones.iter().filter(|zone| zone["zoneState"]["available"] != false).filter_map(|zone| {
            let id = text(zone, "zoneName")?;
            Some(Region { name: format!("{region} {id}"), id, country: None })
        });
        Ok(open.collect())
    }

    fn nodes(&self) -> Result<Vec<Node>> {
        self.nova()?.servers(&[])
    }

    fn get(&self, id: &str) -> Result<Node> {
        self.nova()?.get(id)
    }

    fn create(&self, request: &CreateRequest, progress: &dyn Progress) -> Result<Node> {
        let mut more = json!({});
        if let Some(zone) = &request.location {
            more["availability_zone"] = zone.as_str().into();
        }
        if let Some(network) = &self.network {
            more["networks"] = json!([{"uuid": network}]);
        }
        self.nova()?.create(request, more, progress)
    }

    fn destroy(&self, id: &str, progress: &dyn Progress) -> Result<()> {
        self.nova()?.destroy(id, progress)
    }

    fn start(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        self.nova()?.tell(id, &nova::START)
    }

    fn stop(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        self.nova()?.tell(id, &nova::STOP)
    }

    fn reboot(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        self.nova()?.reboot(id)
    }

    fn suspend(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        self.nova()?.tell(id, &nova::SUSPEND)
    }

    fn resume(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        self.nova()?.tell(id, &nova::RESUME)
    }
}

pub(super) const CAPABILITIES: Capabilities = Capabilities {
    create: true,
    destroy: true,
    start: true,
    stop: true,
    reboot: true,
    suspend: true,
    host_keys: true,
    user_data: true,
    prices: false,
    first_poll: Duration::from_secs(1),
};
