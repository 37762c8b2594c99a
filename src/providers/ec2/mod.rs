//! Amazon EC2, query API of 2016-11-15 (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/>): instances, with tags as marks.
//! Eucalyptus speaks the same with an accent ([`Dialect`]).
//!
//! Deciding is in `signature`, `form`, `xml`, `instance` and `catalog`; `query` sends; `keys` and `firewall` see to what an instance
//! needs around it.

mod catalog;
mod credentials;
mod firewall;
mod form;
mod instance;
mod keys;
mod prices;
mod query;
mod refusal;
mod signature;
mod xml;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::http::{Api, Authorize, Manners};
use super::json::text;
use super::{
    Capabilities, CreateRequest, Error, Image, Node, NodeState, Progress, Provider, Region, Result, Settings, Size,
    cloud_init, order,
};
pub(super) use credentials::{Keys, of_section as keys_of_section};
pub(super) use query::Version2;
use query::{Call, Query};
use xml::items;

/// The driver's word in `provider = `.
pub const NAME: &str = "ec2";

/// The tags of an instance that we ordered: that it is ours, and by which order.
const OURS: &str = "cloudtool";
const ORDER: &str = "cloudtool-order";
/// How long an instance that was just ordered may not be known everywhere yet.
const SPREADING: Duration = Duration::from_secs(60);
/// The pause before it is asked for again; the next one is longer by as much.
const SPREADING_PAUSE: Duration = Duration::from_millis(500);

/// What differs between the clouds that speak this API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Amazon,
    /// Knows neither filters nor ids in lists, nor tags in an order, and keeps no order's token for long.
    Eucalyptus,
}

/// Where a cloud is, and what that follows from.
pub(super) struct Address {
    pub(super) base: String,
    pub(super) from: String,
}

pub struct Ec2 {
    name: String,
    query: Query,
    dialect: Dialect,
    region: String,
    subnet: Option<String>,
    /// Instances ordered by this process, and when.
    ordered: Mutex<Vec<(String, Instant)>>,
}

impl Ec2 {
    /// Keys: `username` and `secret`, an access key's id and secret, and `session_token`; or `profile`, or nothing, for the variables
    /// and files of Amazon's own tools; `region`; `network`, the id of a subnet; `endpoint`.
    pub fn new(settings: &Settings<'_>, manners: &Manners) -> Result<Self> {
        let (keys, region) = credentials::find(settings)?;
        let section = settings.name();
        let (region, from) = region.ok_or_else(|| {
            let message =
                format!("{section} has no region: [provider:{section}] has no `region`, and AWS_REGION is not set");
            Error::Credentials { message }
        })?;
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !region.chars().all(is_name) {
            return Err(Error::Credentials {
                message: format!("{section} has the region {region:?} (from {from}), which is no name of one"),
            });
        }
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        let address = match settings.find(&["endpoint"], &[])? {
            Some(endpoint) => Address { base: endpoint.value.expose().to_owned(), from: endpoint.from },
            None => Address {
                base: format!("https://ec2.{region}.amazonaws.com{suffix}"),
                from: format!("the region {region:?} (from {from})"),
            },
        };
        let signer = Box::new(query::Version4 { keys: keys.clone(), region: region.clone() });
        Self::speaking(Dialect::Amazon, settings, &address, signer, &keys, region, manners)
    }

    /// A cloud at an address.
    pub(super) fn speaking(
        dialect: Dialect,
        settings: &Settings<'_>,
        address: &Address,
        signer: Box<dyn Authorize>,
        keys: &Keys,
        region: String,
        manners: &Manners,
    ) -> Result<Self> {
        let api = Api::new(settings.name(), &address.base, signer, manners)?
            .with_address_from(&address.from)
            .with_credentials(&keys.from, &keys.secrets())
            .with_words(refusal::words);
        Ok(Ec2 {
            name: settings.name().to_owned(),
            query: Query(api),
            dialect,
            region,
            subnet: settings.text(&["network"], &[])?,
            ordered: Mutex::default(),
        })
    }

    fn is_amazon(&self) -> bool {
        self.dialect == Dialect::Amazon
    }

    /// The instances that have this, as far as the cloud can tell.
    fn instances(&self, narrowed: impl FnOnce(Call) -> Call) -> Result<Vec<Node>> {
        let all = Call::new("DescribeInstances");
        let call = if self.is_amazon() { narrowed(all) } else { all };
        let reservations = self.query.list(&call, "reservationSet")?;
        let instances = reservations.iter().flat_map(|reservation| items(reservation, "instancesSet"));
        Ok(instances.filter_map(|instance| instance::node(&self.name, instance.clone())).collect())
    }

    fn is_taken(&self, name: &str) -> Result<bool> {
        let named = self.instances(|all| all.filter("tag:Name", &[name]))?;
        Ok(named.iter().any(|node| node.name == name && node.state != NodeState::Terminated))
    }

    /// What an order has made.
    fn made_by(&self, mark: &str) -> Result<Option<Node>> {
        let marked = self.instances(|all| all.filter(&format!("tag:{ORDER}"), &[mark]))?;
        let is_it = |node: &Node| {
            instance::tag(&node.answer, ORDER).as_deref() == Some(mark) || node.answer["clientToken"] == mark
        };
        Ok(marked.into_iter().find(is_it))
    }

    /// Sends an order, and finds what it made when it is not answered.
    fn order(&self, call: &Call, mark: &str) -> Result<Node> {
        let order = || {
            let answer = self.query.order(call)?;
            let made = items(&answer, "instancesSet").first().cloned();
            made.and_then(|made| instance::node(&self.name, made))
                .ok_or_else(|| self.query.0.lacks("RunInstances", "instanceId"))
        };
        match order::once(order, || self.made_by(mark)) {
            // Nothing was made, as far as one can see; and if it was, the token makes this the same order.
            Err(error) if self.is_amazon() && error.leaves_doubt() => order::once(order, || self.made_by(mark)),
            ordered => ordered,
        }
    }

    /// Gives an instance its tags, where the order could not.
    fn tag(&self, id: &str, tags: &[(&str, &str)]) -> Result<()> {
        let call = tags.iter().zip(1..).fold(
            Call::new("CreateTags").with("ResourceId.1", id),
            |call, ((key, value), number)| {
                call.with(&format!("Tag.{number}.Key"), *key).with(&format!("Tag.{number}.Value"), *value)
            },
        );
        self.of_young(id, || self.query.read(&call))?;
        Ok(())
    }

    fn act(&self, action: &'static str, id: &str) -> Result<()> {
        let call = Call::new(action).list("InstanceId", &[id]);
        self.of_young(id, || self.query.read(&call)).map_err(|error| self.no_such_node(error, id))?;
        Ok(())
    }

    /// Asks again when an instance that was just ordered is said to be missing: not all of the cloud knows it at once.
    fn of_young<T>(&self, id: &str, ask: impl Fn() -> Result<T>) -> Result<T> {
        let mut pause = SPREADING_PAUSE;
        loop {
            let answer = ask();
            let is_missing =
                matches!(&answer, Err(error) if error.is_not_found() || matches!(error, Error::NoSuchNode { .. }));
            if !is_missing || !self.is_young(id) {
                return answer;
            }
            std::thread::sleep(pause);
            pause += SPREADING_PAUSE;
        }
    }

    fn is_young(&self, id: &str) -> bool {
        let ordered = self.ordered.lock().unwrap_or_else(PoisonError::into_inner);
        ordered.iter().any(|(known, since)| known == id && since.elapsed() < SPREADING)
    }
}

impl Provider for Ec2 {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        if self.is_amazon() { CAPABILITIES } else { super::eucalyptus::CAPABILITIES }
    }

    /// Of all the world's images only the account's own and those of Canonical and Debian: there are tens of thousands.
    fn images(&self) -> Result<Vec<Image>> {
        let all = Call::new("DescribeImages");
        if !self.is_amazon() {
            return Ok(catalog::images(catalog::plain(&self.query.list(&all, "imagesSet")?)));
        }
        let own = self.query.list(&all.clone().list("Owner", &["self"]), "imagesSet")?;
        let published = all
            .list("Owner", &catalog::PUBLISHERS)
            .filter("name", &catalog::NAMES)
            .filter("state", &["available"])
            .filter("virtualization-type", &["hvm"])
            .with("MaxResults", "1000");
        let published = self.query.list(&published, "imagesSet")?;
        Ok(catalog::images([catalog::newest(&published), catalog::plain(&own)].concat()))
    }

    /// Whoever's it is, if this account may use it.
    fn unlisted_image(&self, id: &str) -> Result<Option<Image>> {
        if !self.is_amazon() || !id.starts_with("ami-") {
            return Ok(None);
        }
        match self.query.list(&Call::new("DescribeImages").list("ImageId", &[id]), "imagesSet") {
            Ok(found) => Ok(catalog::plain(&found).pop()),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn sizes(&self) -> Result<Vec<Size>> {
        let call = Call::new("DescribeInstanceTypes");
        if !self.is_amazon() {
            return Ok(catalog::sizes(&self.query.list(&call, "instanceTypeDetails")?, |_| None));
        }
        let types = self.query.list(&call.with("MaxResults", "100"), "instanceTypeSet")?;
        let prices = prices::of_region(&self.region);
        Ok(catalog::sizes(&types, |id| prices.get(id).cloned()))
    }

    fn fits(&self, image: &Image, size: &Size) -> bool {
        catalog::is_arm_image(&image.name) == catalog::is_arm_size(&size.id)
    }

    /// The zones of the region.
    fn regions(&self) -> Result<Vec<Region>> {
        let answer = self.query.read(&Call::new("DescribeAvailabilityZones"))?;
        let zones = items(&answer, "availabilityZoneInfo").iter().filter_map(|zone| {
            let id = text(zone, "zoneName")?;
            Some(Region { name: id.clone(), id, country: None })
        });
        Ok(zones.collect())
    }

    /// Without those that have ended, which stay listed for an hour.
    fn nodes(&self) -> Result<Vec<Node>> {
        let mut nodes = self.instances(|all| all.with("MaxResults", "100"))?;
        nodes.retain(|node| !instance::has_ended(node));
        Ok(nodes)
    }

    fn get(&self, id: &str) -> Result<Node> {
        self.of_young(id, || {
            let found =
                self.instances(|all| all.list("InstanceId", &[id])).map_err(|error| self.no_such_node(error, id))?;
            let missing = || self.missing(id);
            found.into_iter().find(|node| node.id == id).ok_or_else(missing)
        })
    }

    fn create(&self, request: &CreateRequest, progress: &dyn Progress) -> Result<Node> {
        let name = request.name.as_str();
        if self.is_taken(name)? {
            return Err(Error::NameTaken { provider: self.name.clone(), name: name.to_owned() });
        }
        let kinds: &[&str] = if self.is_amazon() { &["ssh-ed25519", "ssh-rsa"] } else { &["ssh-rsa"] };
        let key = keys::name(&self.query, &request.authorized_keys, kinds)?;
        let place = firewall::place(&self.query, self.subnet.as_deref(), progress)?;
        let mark = order::new_mark();
        let tags = [("Name", name), (OURS, "yes"), (ORDER, mark.as_str())];
        let mut call = Call::new("RunInstances")
            .with("ImageId", &request.image)
            .with("InstanceType", &request.size)
            .with("MinCount", "1")
            .with("MaxCount", "1")
            .with("ClientToken", &mark)
            .with("UserData", STANDARD.encode(cloud_init::user_data(request)));
        for (name, value) in key.map(|key| ("KeyName", key)).into_iter().chain(place) {
            call = call.with(name, value);
        }
        if let Some(zone) = &request.location {
            call = call.with("Placement.AvailabilityZone", zone);
        }
        if self.is_amazon() {
            call = call.with("TagSpecification.1.ResourceType", "instance");
            for ((key, value), number) in tags.iter().zip(1..) {
                let tag = format!("TagSpecification.1.Tag.{number}");
                call = call.with(&format!("{tag}.Key"), *key).with(&format!("{tag}.Value"), *value);
            }
        }
        progress.step(&format!("ordering {name}"));
        let node = self.order(&call, &mark)?;
        self.ordered.lock().unwrap_or_else(PoisonError::into_inner).push((node.id.clone(), Instant::now()));
        if self.is_amazon() {
            return Ok(node);
        }
        if let Err(error) = self.tag(&node.id, &tags) {
            // Nobody would find it by its name.
            progress.warning(&format!("{} cannot be named and is destroyed again.", node.id));
            self.act("TerminateInstances", &node.id)?;
            return Err(error);
        }
        Ok(Node { name: name.to_owned(), ..node })
    }

    fn destroy(&self, id: &str, progress: &dyn Progress) -> Result<()> {
        progress.step(&format!("destroying {id}"));
        self.act("TerminateInstances", id)
    }

    fn start(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        self.act("StartInstances", id)
    }

    fn stop(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        self.act("StopInstances", id)
    }

    fn reboot(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        self.act("RebootInstances", id)
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
    use super::super::http::Patience;
    use super::*;
    use crate::config::ProviderConfig;
    use crate::names::Secret;

    #[test]
    fn an_unknown_region_is_said_with_the_setting() {
        let section = ProviderConfig {
            name: "e".into(),
            provider: NAME.into(),
            username: Some("A".into()),
            secret: Some(Secret::new("s")),
            region: Some("mars-1".into()),
            ..ProviderConfig::default()
        };
        let manners = Manners { patience: Patience { attempts: 1, ..Patience::default() }, ..Manners::default() };
        let cloud = Ec2::new(&Settings { section: &section, ask: &|_| None }, &manners).unwrap();
        let error = cloud.nodes().unwrap_err().to_string();
        let told = r#"e: the region "mars-1" (from `region` in [provider:e]) leads to ec2.mars-1.amazonaws.com, which is not found: "#;
        assert!(error.starts_with(told), "{error}");
    }
}
