//! Rackspace's classic public cloud: Identity v2 with an API key, Nova v2, authorized keys as `personality` (files that are laid
//! onto the disk before the first boot). The newer "Rackspace Flex" is plain [`super::openstack`].

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::error::{Error, Result};
use super::http::{Anonymous, Api, Manners, Request, Token};
use super::json::{seconds_since_1970, text};
use super::openstack::catalog::{self, Endpoint, Wish};
use super::openstack::nova::Nova;
use super::openstack::session::{ByToken, LogIn, Session};
use super::{Capabilities, CreateRequest, Image, Node, Price, Progress, Provider, Region, Settings, Size};
use crate::names::Secret;

/// The driver's word in `provider = `.
pub const NAME: &str = "rackspace";

const ADDRESS: &str = "https://identity.api.rackspacecloud.com/v2.0";
/// The compute service in the catalogue; `cloudServers`, which is older, is another one.
const SERVICE: &str = "cloudServersOpenStack";
/// What every account may put into one file of a new server.
const LARGEST_FILE: usize = 1000;
/// Where the prices hold.
const US_REGIONS: [&str; 3] = ["DFW", "IAD", "ORD"];
/// See `scripts/make-rackspace-prices`.
const PRICES: &str = include_str!("data/rackspace.csv");

pub struct Rackspace {
    name: String,
    credentials: Credentials,
    region: Option<super::credentials::Found>,
    manners: Manners,
    session: Arc<Session>,
    compute: OnceLock<(String, Nova)>,
}

#[derive(Clone)]
struct Credentials {
    secret: Secret,
    from: String,
}

/// Identity v2.
struct Identity {
    api: Api,
    body: Value,
}

impl LogIn for Identity {
    fn log_in(&self) -> Result<Token> {
        const PATH: &str = "tokens";
        // A token too many does no harm.
        let answer = self.api.json(&Request::post(PATH).json(self.body.clone()).repeatable())?;
        let access = &answer["access"];
        let token = text(&access["token"], "id").ok_or_else(|| self.api.lacks(PATH, "access.token.id"))?;
        let expires = text(&access["token"], "expires").and_then(|date| seconds_since_1970(&date));
        Ok(Token {
            token,
            expires: expires.ok_or_else(|| self.api.lacks(PATH, "access.token.expires"))?,
            extra: json!({
                "catalog": catalog::of_v2(&access["serviceCatalog"]),
                "region": access["user"]["RAX-AUTH:defaultRegion"],
            }),
        })
    }
}

impl Rackspace {
    /// Keys: `username`; `secret`, the API key, or else `password`; `region`; `endpoint` (Identity's address).
    pub fn new(settings: &Settings<'_>, manners: &Manners) -> Result<Self> {
        let name = settings.name().to_owned();
        let username = settings.require(&["username"], &["RS_USERNAME"])?;
        let user = username.value.expose();
        let (secret, auth) = match settings.find(&["secret"], &["RS_API_KEY"])? {
            Some(key) => {
                let auth = json!({"RAX-KSKEY:apiKeyCredentials": {"username": user, "apiKey": key.value.expose()}});
                (key, auth)
            }
            None => {
                let password = settings.require(&["password", "secret"], &["RS_PASSWORD"])?;
                let auth = json!({"passwordCredentials": {"username": user, "password": password.value.expose()}});
                (password, auth)
            }
        };
        let endpoint = settings.find(&["endpoint"], &[])?;
        let base = endpoint.as_ref().map_or(ADDRESS, |endpoint| endpoint.value.expose());
        let from = endpoint.as_ref().map_or("Rackspace's own address", |endpoint| &endpoint.from);
        let api = Api::new(&name, base, Box::new(Anonymous), manners)?
            .with_address_from(from)
            .with_credentials(&secret.from, std::slice::from_ref(&secret.value));
        let drawer = manners.tokens.of(&[NAME, base, user, secret.value.expose()]);
        Ok(Rackspace {
            session: Session::new(Identity { api, body: json!({"auth": auth}) }, drawer),
            credentials: Credentials { secret: secret.value, from: secret.from },
            region: settings.find(&["region"], &["RS_REGION_NAME"])?,
            compute: OnceLock::new(),
            manners: manners.clone(),
            name,
        })
    }

    /// The region in use, and its compute service.
    fn compute(&self) -> Result<&(String, Nova)> {
        if let Some(compute) = self.compute.get() {
            return Ok(compute);
        }
        let extra = self.session.token()?.extra;
        let all: Vec<Endpoint> = serde_json::from_value(extra["catalog"].clone()).unwrap_or_default();
        let servers: Vec<Endpoint> = all.into_iter().filter(|endpoint| endpoint.name == SERVICE).collect();
        let own = text(&extra, "region");
        let wish = match &self.region {
            Some(found) => Wish { region: Some(found.value.expose()), from: &found.from },
            None => Wish { region: own.as_deref(), from: "the account's default region" },
        };
        let endpoint = catalog::choose(&self.name, SERVICE, &servers, wish)?;
        let Credentials { secret, from } = self.credentials.clone();
        let api = Api::new(&self.name, &endpoint.url, Box::new(ByToken(self.session.clone())), &self.manners)?
            .with_address_from("Identity's catalogue")
            .with_credentials(&from, &[secret]);
        Ok(self.compute.get_or_init(|| (endpoint.region.clone(), Nova::new(api))))
    }

    fn nova(&self) -> Result<&Nova> {
        Ok(&self.compute()?.1)
    }
}

impl Provider for Rackspace {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn images(&self) -> Result<Vec<Image>> {
        let images = self.nova()?.list("images/detail", "images", &[])?;
        let images = images.iter().filter(|image| image["status"] == "ACTIVE").filter_map(|image| {
            let words = ["os_distro", "os_version"].map(|word| text(&image["metadata"], word));
            Some(Image {
                id: text(image, "id")?,
                name: text(image, "name")?,
                description: words.into_iter().flatten().collect::<Vec<_>>().join(" "),
            })
        });
        Ok(super::images::default_first(images.collect()))
    }

    fn sizes(&self) -> Result<Vec<Size>> {
        let (region, nova) = self.compute()?;
        let prices = prices(region);
        let priced =
            nova.flavors()?.into_iter().map(|size| Size { price: prices.get(size.id.as_str()).cloned(), ..size });
        Ok(super::sizes::cheapest_first(priced.collect()))
    }

    /// The region in use alone: the machines of another one are another section's.
    fn regions(&self) -> Result<Vec<Region>> {
        let (region, _) = self.compute()?;
        Ok(vec![Region { id: region.clone(), name: region.clone(), country: None }])
    }

    fn nodes(&self) -> Result<Vec<Node>> {
        self.nova()?.servers(&[])
    }

    fn get(&self, id: &str) -> Result<Node> {
        self.nova()?.get(id)
    }

    fn create(&self, request: &CreateRequest, progress: &dyn Progress) -> Result<Node> {
        let (region, nova) = self.compute()?;
        if let Some(other) = request.location.as_ref().filter(|wanted| !wanted.eq_ignore_ascii_case(region)) {
            let message = format!(
                "{} makes nodes in {region}: for {other} there is to be a section with that `region`",
                self.name
            );
            return Err(Error::Credentials { message });
        }
        // cloud-init finds its user-data on the configuration drive.
        let mut more = json!({"config_drive": true});
        if let Some(files) = personality(&request.authorized_keys) {
            more["personality"] = files;
        }
        nova.create(request, more, progress)
    }

    fn destroy(&self, id: &str, progress: &dyn Progress) -> Result<()> {
        self.nova()?.destroy(id, progress)
    }

    fn reboot(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        self.nova()?.reboot(id)
    }
}

/// The authorized keys of root as a file; `None` when there are none, or more than a file may hold: user-data brings all of them.
fn personality(keys: &[String]) -> Option<Value> {
    let contents: String = keys.iter().map(|key| format!("{}\n", key.trim())).collect();
    (1..=LARGEST_FILE)
        .contains(&contents.len())
        .then(|| json!([{"path": "/root/.ssh/authorized_keys", "contents": STANDARD.encode(contents)}]))
}

/// What sizes cost an hour in a region, by the flavor's id; nothing outside the US.
fn prices(region: &str) -> HashMap<&'static str, Price> {
    if !US_REGIONS.iter().any(|us| us.eq_ignore_ascii_case(region)) {
        return HashMap::new();
    }
    let rows = PRICES.lines().filter_map(|line| line.split_once(','));
    let price = |hourly: f64| Price { monthly: None, hourly: Some(hourly), currency: "USD".into() };
    rows.filter_map(|(flavor, hourly)| Some((flavor, price(hourly.parse().ok()?)))).collect()
}

pub(super) const CAPABILITIES: Capabilities = Capabilities {
    create: true,
    destroy: true,
    start: false,
    stop: false,
    reboot: true,
    suspend: false,
    host_keys: true,
    user_data: true,
    prices: true,
    first_poll: Duration::from_secs(2),
};

#[cfg(test)]
mod tests {
    use super::super::NodeState;
    use super::super::openstack::nova;
    use super::*;

    /// From Rackspace's "Server status" (Cloud Servers API).
    const ALL: [&str; 15] = [
        "ACTIVE",
        "BUILD",
        "DELETED",
        "ERROR",
        "HARD_REBOOT",
        "MIGRATING",
        "PASSWORD",
        "REBOOT",
        "REBUILD",
        "RESCUE",
        "RESIZE",
        "REVERT_RESIZE",
        "SUSPENDED",
        "UNKNOWN",
        "VERIFY_RESIZE",
    ];

    #[test]
    fn every_status_is_mapped() {
        for status in ALL {
            assert!(nova::STATES.iter().any(|(known, _)| *known == status), "{status}");
            assert_eq!(NodeState::from_table(nova::STATES, status) == NodeState::Unknown, status == "UNKNOWN");
        }
    }

    #[test]
    fn keys_become_a_file_when_they_fit() {
        let file = personality(&["ssh-ed25519 AAAA me\n".into(), "ssh-rsa BBBB".into()]).unwrap();
        assert_eq!(file[0]["path"], "/root/.ssh/authorized_keys");
        let contents = STANDARD.decode(file[0]["contents"].as_str().unwrap()).unwrap();
        assert_eq!(contents, b"ssh-ed25519 AAAA me\nssh-rsa BBBB\n");
        assert_eq!(personality(&[]), None);
        assert_eq!(personality(&["x".repeat(1000)]), None);
    }

    #[test]
    fn every_row_of_the_prices_is_one() {
        let rows = PRICES.lines().filter(|line| !line.starts_with('#')).count();
        let prices_here = prices("dfw");
        assert!(rows > 10 && prices_here.len() == rows, "{} of {rows}", prices_here.len());
        assert!(prices_here.values().all(|price| price.hourly.is_some_and(|hourly| hourly > 0.0 && hourly < 100.0)));
        assert!(prices("LON").is_empty());
    }
}
