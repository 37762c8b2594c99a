//! Google Compute Engine, API v1 (<https://cloud.google.com/compute/docs/reference/rest/v1>): instances of one project, with labels
//! as marks.
//!
//! Orders are answered with operations; the one that makes a machine is followed to its end, because only it says why there is none.
//! An id is `ZONE/NUMBER`, so that a machine which follows another of the same name is not taken for it.

mod account;
mod instance;
mod operation;
mod prices;

use std::time::Duration;

use serde_json::Value;

use self::account::{Account, ByToken};
use super::error::{Error, Result};
use super::http::{Api, Manners, Pages, Request, segment};
use super::json::{number, text};
use super::node::default_first;
use super::order;
use super::{Capabilities, CreateRequest, Image, Node, NodeState, Progress, Provider, Region, Settings, Size};

/// The driver's word in `provider = `.
pub const NAME: &str = "gce";

const ADDRESS: &str = "https://compute.googleapis.com/compute/v1";
const DEFAULT_REGION: &str = "us-central1";
/// Whose images are listed, besides those of the project itself: what setup-node can do something with.
const IMAGE_PROJECTS: [&str; 2] = ["ubuntu-os-cloud", "debian-cloud"];

pub struct Gce {
    name: String,
    api: Api,
    project: String,
    zone: String,
    network: String,
}

impl Gce {
    /// Keys: `credentials_file`, the JSON file of a service account that may administrate instances (`roles/compute.instanceAdmin.v1`),
    /// or `secret`, its text; `project`, unless it is the account's own; `zone` or `region`; `network`; `endpoint`.
    pub fn new(settings: &Settings<'_>, manners: &Manners) -> Result<Self> {
        let account = Account::of(settings)?;
        let variables = ["GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT"];
        let of_account = account.project.clone();
        let project = settings.text(&["project"], &variables)?.or(of_account).ok_or_else(|| Error::Credentials {
            message: format!("{} has no `project`, and its account is of none", settings.name()),
        })?;
        let place = settings.text(&["zone", "region"], &["CLOUDSDK_COMPUTE_ZONE", "CLOUDSDK_COMPUTE_REGION"])?;
        let endpoint = settings.find(&["endpoint"], &[])?;
        let base = endpoint.as_ref().map_or(ADDRESS, |endpoint| endpoint.value.expose());
        let address_from = endpoint.as_ref().map_or("Google's own address", |endpoint| &endpoint.from);
        let from = account.from.clone();
        let by_token = ByToken::new(settings.name(), account, manners)?;
        let api = Api::new(settings.name(), base, Box::new(by_token), manners)?
            .with_address_from(address_from)
            .with_credentials(&from, &[]);
        Ok(Gce {
            name: settings.name().to_owned(),
            api,
            project,
            zone: zone_of(place.as_deref().unwrap_or(DEFAULT_REGION)),
            network: settings.text(&["network"], &[])?.unwrap_or_else(|| "default".into()),
        })
    }

    fn project_path(&self, rest: &str) -> String {
        format!("projects/{}/{rest}", segment(&self.project))
    }

    /// The items of all pages of a list, as they are: an array a page, or an object by zone.
    fn pages(&self, path: &str, list: &'static str, query: &[(&str, &str)]) -> Result<Vec<Value>> {
        let mut pages = Pages::of(&self.name, list);
        let first = Request::get(path).query("maxResults", 500);
        let first = query.iter().fold(first, |request, (key, value)| request.query(key, value));
        let mut request = first.clone();
        let mut answers = Vec::new();
        loop {
            let mut answer = self.api.json(&request)?;
            // An empty list has no items, but every answer says what it is.
            if !answer["kind"].is_string() {
                return Err(self.api.lacks(path, "kind"));
            }
            let next = text(&answer, "nextPageToken");
            answers.push(answer["items"].take());
            let Some(next) = next else { return Ok(answers) };
            pages.turn(&next)?;
            request = first.clone().query("pageToken", next);
        }
    }

    /// All items of a list of one place. Only these fields are asked for: some lists are megabytes otherwise.
    fn list(&self, path: &str, list: &'static str, fields: &str) -> Result<Vec<Value>> {
        let fields = format!("kind,nextPageToken,items({fields})");
        let pages = self.pages(path, list, &[("fields", &fields)])?;
        Ok(pages.into_iter().filter_map(|page| page.as_array().cloned()).flatten().collect())
    }

    /// The instances of all zones, or those that pass a filter.
    fn instances(&self, filter: Option<String>) -> Result<Vec<Node>> {
        let query: Vec<(&str, &str)> = filter.iter().map(|filter| ("filter", filter.as_str())).collect();
        let pages = self.pages(&self.project_path("aggregated/instances"), "instances", &query)?;
        let of_zone = |zone: &Value| zone["instances"].as_array().cloned().unwrap_or_default();
        let zones = pages.iter().filter_map(Value::as_object).flat_map(|zones| zones.values());
        zones.flat_map(of_zone).map(|instance| self.node(instance)).collect()
    }

    /// The path of an instance.
    fn path(&self, id: &str) -> Result<String> {
        let parts = id.split_once('/').and_then(|(zone, number)| Some((zone, number.parse::<u64>().ok()?)));
        let (zone, number) = parts.ok_or_else(|| self.missing(id))?;
        Ok(self.project_path(&format!("zones/{}/instances/{number}", segment(zone))))
    }

    fn act(&self, id: &str, action: &str) -> Result<()> {
        let request = Request::post(format!("{}/{action}", self.path(id)?));
        self.order(request, &order::new_mark()).map_err(|error| self.no_such_node(error, id))?;
        Ok(())
    }
}

/// The zone a setting names: itself, or the zone b of a region; every region has one.
fn zone_of(place: &str) -> String {
    let is_zone = place.rsplit_once('-').is_some_and(|(_, end)| end.len() == 1);
    if is_zone { place.to_owned() } else { format!("{place}-b") }
}

impl Provider for Gce {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn images(&self) -> Result<Vec<Image>> {
        let mut images = Vec::new();
        for project in IMAGE_PROJECTS.into_iter().chain([self.project.as_str()]) {
            let path = format!("projects/{}/global/images", segment(project));
            let list = self.list(&path, "images", "name,description,deprecated,status")?;
            let usable = |image: &&Value| image["deprecated"].is_null() && image["status"] == "READY";
            images.extend(list.iter().filter(usable).filter_map(|image| {
                let name = text(image, "name")?;
                let description = text(image, "description").unwrap_or_default();
                Some(Image { id: format!("{project}/{name}"), name, description })
            }));
        }
        Ok(super::images::default_first(images))
    }

    fn sizes(&self) -> Result<Vec<Size>> {
        let path = self.project_path(&format!("zones/{}/machineTypes", segment(&self.zone)));
        let types = self.list(&path, "machine types", "name,guestCpus,memoryMb,deprecated")?;
        let sizes = types.iter().filter(|kind| kind["deprecated"].is_null()).filter_map(|kind| {
            let (id, cpus, memory) = (text(kind, "name")?, number(&kind["guestCpus"])?, kind["memoryMb"].as_u64()?);
            let price = prices::of(&id, &self.zone, cpus, memory);
            Some(Size { name: id.clone(), id, memory_mb: Some(memory), disk_gb: None, cpus: Some(cpus), price })
        });
        Ok(super::sizes::cheapest_first(sizes.collect()))
    }

    fn fits(&self, image: &Image, size: &Size) -> bool {
        image.name.contains("arm64") == is_arm(&size.id)
    }

    fn regions(&self) -> Result<Vec<Region>> {
        let zones = self.list(&self.project_path("zones"), "zones", "name,status")?;
        let regions = zones.iter().filter(|zone| zone["status"] == "UP").filter_map(|zone| {
            let id = text(zone, "name")?;
            Some(Region { name: id.clone(), id, country: None })
        });
        Ok(default_first(regions.collect(), Some(&self.zone)))
    }

    fn nodes(&self) -> Result<Vec<Node>> {
        self.instances(None)
    }

    fn get(&self, id: &str) -> Result<Node> {
        let request = Request::get(self.path(id)?);
        self.node(self.api.json(&request).map_err(|error| self.no_such_node(error, id))?)
    }

    fn create(&self, request: &CreateRequest, progress: &dyn Progress) -> Result<Node> {
        let name = request.name.as_str();
        if !self.instances(Some(format!("name={name}")))?.is_empty() {
            return Err(Error::NameTaken { provider: self.name.clone(), name: name.to_owned() });
        }
        let zone = zone_of(request.location.as_deref().unwrap_or(&self.zone));
        let mark = order::new_mark();
        let path = self.project_path(&format!("zones/{}/instances", segment(&zone)));
        let order = Request::post(path).json(self.wish(request, &zone, &mark));
        let title = order.title();
        progress.step(&format!("ordering {name}"));
        let look = || Ok(self.instances(Some(format!("labels.cloudtool-order={mark}")))?.pop().map(|node| node.id));
        let mut operation = None;
        let id = order::once(
            || {
                let answer = self.order(order, &mark)?;
                let lacks = |field| self.api.lacks("instances", field);
                let number = text(&answer, "targetId").ok_or_else(|| lacks("targetId"))?;
                operation = Some(text(&answer, "name").ok_or_else(|| lacks("name"))?);
                Ok(format!("{zone}/{number}"))
            },
            look,
        )?;
        let followed = operation.map_or(Ok(()), |operation| self.follow(&zone, &operation, &title));
        followed.and_then(|()| self.get(&id)).map_err(|error| match error {
            // The order itself failed.
            Error::Refused(ref refusal) if refusal.request == title => error,
            // It may well be there, and cost.
            error => {
                Error::Api { provider: self.name.clone(), message: format!("{name} is ordered (id {id}), but {error}") }
            }
        })
    }

    fn destroy(&self, id: &str, progress: &dyn Progress) -> Result<()> {
        progress.step(&format!("destroying {id}"));
        let request = Request::delete(self.path(id)?);
        self.order(request, &order::new_mark()).map_err(|error| self.no_such_node(error, id))?;
        Ok(())
    }

    fn start(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        order::towards(self, id, NodeState::Running, || self.act(id, "start"))
    }

    fn stop(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        order::towards(self, id, NodeState::Stopped, || self.act(id, "stop"))
    }

    fn reboot(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        self.act(id, "reset")
    }

    fn suspend(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        order::towards(self, id, NodeState::Suspended, || self.act(id, "suspend"))
    }

    fn resume(&self, id: &str, _progress: &dyn Progress) -> Result<()> {
        order::towards(self, id, NodeState::Running, || self.act(id, "resume"))
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
    prices: true,
    first_poll: Duration::from_secs(2),
};

/// Whether a machine type has ARM processors (<https://cloud.google.com/compute/docs/instances/arm-on-compute>).
fn is_arm(machine_type: &str) -> bool {
    ["a4x", "c4a", "n4a", "t2a"].contains(&machine_type.split('-').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_as_good_as_a_zone() {
        assert_eq!(
            (zone_of("us-central1-f"), zone_of("europe-west1")),
            ("us-central1-f".into(), "europe-west1-b".into())
        );
    }

    #[test]
    fn processors_are_told_apart() {
        assert!(is_arm("t2a-standard-1") && is_arm("c4a-highmem-2"));
        assert!(!is_arm("e2-micro") && !is_arm("t2d-standard-1"));
    }
}
