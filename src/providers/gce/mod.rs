//! Google Compute Engine, API v1 (<https://cloud.google.com/compute/docs/reference/rest/v1>): instances of one project, with labels
//! as marks.
//!
//! Orders are answered with operations; the one that makes a machine is followed to its end, because only it says why there is none.
//! An id is `ZONE/NUMBER`, so that a machine which follows another of the same name is not taken for it.

mod account;
mod prices;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::account::{Account, ByToken};
use super::cloud_init;
use super::error::{Error, Result};
use super::http::{Api, Manners, Pages, Reason, Refusal, Request, segment, words_of_json};
use super::json::{address_list, number, text};
use super::keys::Key;
use super::node::default_first;
use super::order;
use super::{Access, Capabilities, CreateRequest, Image, Node, NodeState, Progress, Provider, Region, Settings, Size};

/// The driver's word in `provider = `.
pub const NAME: &str = "gce";

const ADDRESS: &str = "https://compute.googleapis.com/compute/v1";
const DEFAULT_REGION: &str = "us-central1";
/// Whose images are listed, besides those of the project itself: what setup-node can do something with.
const IMAGE_PROJECTS: [&str; 2] = ["ubuntu-os-cloud", "debian-cloud"];
/// Where an instance says what it was made of: its disk, which knows, would have to be asked for.
const IMAGE_ITEM: &str = "cloudtool-image";
/// How long to follow the making of a machine; it takes ten seconds, and a minute when it fails.
const LONGEST_OPERATION: Duration = Duration::from_secs(180);

/// `status` of an instance.
pub(super) const STATES: &[(&str, NodeState)] = &[
    ("PENDING", NodeState::Pending),
    ("PROVISIONING", NodeState::Pending),
    ("STAGING", NodeState::Pending),
    ("RUNNING", NodeState::Running),
    // Of itself it goes on to run.
    ("REPAIRING", NodeState::Pending),
    ("PENDING_STOP", NodeState::Stopping),
    ("STOPPING", NodeState::Stopping),
    ("STOPPED", NodeState::Stopped),
    // Google's word for one that can be started again.
    ("TERMINATED", NodeState::Stopped),
    ("SUSPENDING", NodeState::Stopping),
    ("SUSPENDED", NodeState::Suspended),
    ("DEPROVISIONING", NodeState::Terminated),
];

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

    fn node(&self, mut instance: Value) -> Result<Node> {
        let lacks = |field: &str| self.api.lacks("instances", field);
        let number = text(&instance, "id").ok_or_else(|| lacks("id"))?;
        let zone = last(&instance, "zone").ok_or_else(|| lacks("zone"))?;
        // What is in it may be as secret as a host key, and the inventory keeps answers.
        let metadata = instance.as_object_mut().and_then(|fields| fields.remove("metadata")).unwrap_or_default();
        let items = metadata["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let image = items.iter().find(|item| item["key"] == IMAGE_ITEM).and_then(|item| text(item, "value"));
        let interfaces = instance["networkInterfaces"].as_array().map(Vec::as_slice).unwrap_or_default();
        let inner = |list: &str, field: &str| -> Vec<Value> {
            let configs = interfaces.iter().filter_map(|interface| interface[list].as_array()).flatten();
            configs.map(|config| config[field].clone()).collect()
        };
        let mut public_ips = address_list(&inner("accessConfigs", "natIP"));
        public_ips.extend(address_list(&inner("ipv6AccessConfigs", "externalIpv6")));
        let private_ips = address_list(interfaces.iter().map(|interface| &interface["networkIP"]));
        Ok(Node {
            name: text(&instance, "name").unwrap_or_default(),
            provider: self.name.clone(),
            id: format!("{zone}/{number}"),
            state: NodeState::from_table(STATES, &text(&instance, "status").unwrap_or_default()),
            access: Access::root_at(&public_ips, &private_ips),
            public_ips,
            private_ips,
            image,
            size: last(&instance, "machineType"),
            location: Some(zone),
            reason: text(&instance, "statusMessage"),
            answer: instance,
        })
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

    /// Sends an order with its mark, by which Google knows it if it comes again, and gives the operation.
    fn order(&self, request: Request, mark: &str) -> Result<Value> {
        let title = request.title();
        let operation = self.api.json(&request.query("requestId", mark).repeatable())?;
        match failure(&operation) {
            Some((status, body)) => Err(self.refused(title, status, &body)),
            None => Ok(operation),
        }
    }

    /// Follows the making of a machine to its end, or as long as that makes sense.
    fn follow(&self, zone: &str, operation: &str, title: &str) -> Result<()> {
        let path = self.project_path(&format!("zones/{}/operations/{}", segment(zone), segment(operation)));
        let (start, mut pause) = (Instant::now(), Duration::from_millis(200));
        loop {
            let operation = self.api.json(&Request::get(&path))?;
            if let Some((status, body)) = failure(&operation) {
                return Err(self.refused(title.to_owned(), status, &body));
            }
            if operation["status"] == "DONE" || start.elapsed() > LONGEST_OPERATION {
                return Ok(());
            }
            std::thread::sleep(pause);
            pause = (pause * 3 / 2).min(Duration::from_secs(3));
        }
    }

    /// The error of an operation that failed.
    fn refused(&self, request: String, status: u16, body: &Value) -> Error {
        let words = words_of_json(status, body.to_string().as_bytes());
        Error::Refused(Box::new(Refusal {
            provider: self.name.clone(),
            request,
            status,
            // It has ended, and nothing was made: a zone without room is no trouble of the API.
            reason: if words.reason == Reason::Trouble { Reason::Invalid } else { words.reason },
            code: words.code,
            message: words.message,
            credentials: String::new(),
        }))
    }
}

/// The zone a setting names: itself, or the zone b of a region; every region has one.
fn zone_of(place: &str) -> String {
    let is_zone = place.rsplit_once('-').is_some_and(|(_, end)| end.len() == 1);
    if is_zone { place.to_owned() } else { format!("{place}-b") }
}

/// The last part of an address (`https://.../zones/us-central1-b`), which is the thing's name.
fn last(value: &Value, field: &str) -> Option<String> {
    text(value, field)?.rsplit('/').next().map(str::to_owned)
}

/// The status of a failed operation, and its errors in the form of a refused request.
fn failure(operation: &Value) -> Option<(u16, Value)> {
    let errors = operation["error"]["errors"].as_array().filter(|errors| !errors.is_empty())?;
    let status = operation["httpErrorStatusCode"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(400);
    let (code, message) = (&errors[0]["code"], &errors[0]["message"]);
    Some((status, json!({"error": {"message": message, "errors": [{"reason": code}]}})))
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

impl Gce {
    /// The body of an order.
    fn wish(&self, request: &CreateRequest, zone: &str, mark: &str) -> Value {
        let (image_project, image) = request.image.split_once('/').unwrap_or((&self.project, &request.image));
        // Google's own agent gives the keys to this user also where there is no cloud-init (Debian's images).
        let user = if image.starts_with("debian") { "debian" } else { "ubuntu" };
        let keys =
            request.authorized_keys.iter().filter_map(|line| Some(format!("{user}:{}", Key::parse(line)?.line())));
        json!({
            "name": request.name.as_str(),
            "machineType": format!("zones/{zone}/machineTypes/{}", request.size),
            "disks": [{
                "boot": true,
                "autoDelete": true,
                "initializeParams": {"sourceImage": format!("projects/{image_project}/global/images/{image}")},
            }],
            "networkInterfaces": [{
                "network": format!("global/networks/{}", self.network),
                "accessConfigs": [{"type": "ONE_TO_ONE_NAT", "name": "External NAT"}],
            }],
            "metadata": {"items": [
                {"key": "user-data", "value": cloud_init::user_data(request)},
                {"key": "ssh-keys", "value": keys.collect::<Vec<_>>().join("\n")},
                // A project may let in by OS Login alone, which would ignore the keys.
                {"key": "enable-oslogin", "value": "FALSE"},
                {"key": IMAGE_ITEM, "value": request.image},
            ]},
            "labels": {"cloudtool": "", "cloudtool-order": mark},
        })
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
    fn every_state_of_the_api_has_a_meaning() {
        let words = [
            "PENDING",
            "PROVISIONING",
            "STAGING",
            "RUNNING",
            "PENDING_STOP",
            "STOPPING",
            "STOPPED",
            "SUSPENDING",
            "SUSPENDED",
            "TERMINATED",
            "REPAIRING",
            "DEPROVISIONING",
        ];
        for word in words {
            assert_ne!(NodeState::from_table(STATES, word), NodeState::Unknown, "{word}");
        }
    }

    #[test]
    fn a_region_is_as_good_as_a_zone() {
        assert_eq!(
            (zone_of("us-central1-f"), zone_of("europe-west1")),
            ("us-central1-f".into(), "europe-west1-b".into())
        );
    }

    #[test]
    fn a_failed_operation_says_why() {
        let failed = json!({
            "status": "DONE",
            "httpErrorStatusCode": 403,
            "error": {"errors": [{"code": "QUOTA_EXCEEDED", "message": "Quota 'CPUS' exceeded."}]},
        });
        let (status, body) = failure(&failed).unwrap();
        let words = words_of_json(status, body.to_string().as_bytes());
        assert_eq!((words.reason, words.code.as_str()), (Reason::Quota, "QUOTA_EXCEEDED"));
        assert_eq!(failure(&json!({"status": "DONE"})), None);
    }

    #[test]
    fn processors_are_told_apart() {
        assert!(is_arm("t2a-standard-1") && is_arm("c4a-highmem-2"));
        assert!(!is_arm("e2-micro") && !is_arm("t2d-standard-1"));
    }
}
