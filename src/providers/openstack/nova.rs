//! Nova, the compute service of OpenStack and of classic Rackspace, at the API's first microversion (2.1), which all releases
//! still speak: later ones drop `personality` and demand a network.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::error::{Error, Result};
use super::super::http::{Api, Reason, Request, segment};
use super::super::json::{address_list, number, text};
use super::super::keys::{self, Key};
use super::super::order;
use super::super::{Access, CreateRequest, Node, NodeState, Progress, Size, cloud_init};

/// `status` of a server.
pub const STATES: &[(&str, NodeState)] = &[
    ("ACTIVE", NodeState::Running),
    ("BUILD", NodeState::Pending),
    ("DELETED", NodeState::Terminated),
    ("ERROR", NodeState::Error),
    ("HARD_REBOOT", NodeState::Rebooting),
    // It runs on while it moves.
    ("MIGRATING", NodeState::Running),
    // It runs on while its password is changed.
    ("PASSWORD", NodeState::Running),
    ("PAUSED", NodeState::Suspended),
    ("REBOOT", NodeState::Rebooting),
    ("REBUILD", NodeState::Pending),
    // Something runs, but not what is on its disk.
    ("RESCUE", NodeState::Pending),
    ("RESIZE", NodeState::Pending),
    ("REVERT_RESIZE", NodeState::Pending),
    ("SHELVED", NodeState::Stopped),
    ("SHELVED_OFFLOADED", NodeState::Stopped),
    ("SHUTOFF", NodeState::Stopped),
    ("SOFT_DELETED", NodeState::Terminated),
    ("SUSPENDED", NodeState::Suspended),
    ("UNKNOWN", NodeState::Unknown),
    // It runs in its new size, which is to be confirmed.
    ("VERIFY_RESIZE", NodeState::Running),
];

/// `OS-EXT-STS:task_state` of a server on its way to another status, where that says more than the status it leaves.
const TASKS: &[(&str, NodeState)] = &[
    ("deleting", NodeState::Terminated),
    ("powering-off", NodeState::Stopping),
    ("powering-on", NodeState::Pending),
    ("resuming", NodeState::Pending),
    ("soft-deleting", NodeState::Terminated),
    ("suspending", NodeState::Stopping),
];

/// What a server can be told to do.
pub struct Verb {
    /// Tried without a look at the status.
    action: &'static str,
    /// What comes to the same in other statuses.
    others: &'static [(&'static str, &'static str)],
    /// The states in which there is nothing to do.
    done: &'static [NodeState],
}

pub const START: Verb = Verb {
    action: "os-start",
    others: &[("SHELVED", "unshelve"), ("SHELVED_OFFLOADED", "unshelve")],
    done: &[NodeState::Running, NodeState::Pending],
};
pub const STOP: Verb = Verb { action: "os-stop", others: &[], done: &[NodeState::Stopped, NodeState::Stopping] };
pub const SUSPEND: Verb = Verb { action: "suspend", others: &[], done: &[NodeState::Suspended] };
pub const RESUME: Verb = Verb { action: "resume", others: &[("PAUSED", "unpause")], done: &[NodeState::Running] };

/// The metadata that marks a server as ours, and the one of its order.
const MARK: &str = "cloudtool";
const ORDER: &str = "cloudtool-order";

/// The compute service of one region.
pub struct Nova {
    api: Api,
}

impl Nova {
    pub fn new(api: Api) -> Self {
        Nova { api }
    }

    /// All items of a list, page by page. Each page is asked for by the last item of the one before: the links that servers give
    /// lead to all kinds of addresses.
    pub fn list(&self, path: &str, field: &str, query: &[(&str, &str)]) -> Result<Vec<Value>> {
        let first = Request::get(path).queries(query);
        self.api.list(first.clone(), field, |answer, items| {
            let links = answer[format!("{field}_links")].as_array().map(Vec::as_slice).unwrap_or_default();
            let goes_on = links.iter().any(|link| link["rel"] == "next");
            let last = items.last().filter(|_| goes_on).and_then(|item| text(item, "id"));
            Ok(last.map(|marker| first.clone().query("marker", marker)))
        })
    }

    pub fn servers(&self, query: &[(&str, &str)]) -> Result<Vec<Node>> {
        self.list("servers/detail", "servers", query)?.into_iter().map(|server| self.node(server)).collect()
    }

    /// `name` is a regular expression to Nova: more may match.
    fn named(&self, name: &str) -> Result<impl Iterator<Item = Node>> {
        let name = name.to_owned();
        Ok(self.servers(&[("name", &name)])?.into_iter().filter(move |node| node.name == name))
    }

    pub fn get(&self, id: &str) -> Result<Node> {
        let mut answer = self.api.json(&Request::get(server(id))).map_err(|error| self.no_such_node(error, id))?;
        self.node(answer.get_mut("server").map(Value::take).unwrap_or_default())
    }

    /// The sizes; without prices.
    pub fn flavors(&self) -> Result<Vec<Size>> {
        let flavors = self.list("flavors/detail", "flavors", &[])?;
        let sizes = flavors.iter().filter(|flavor| flavor["OS-FLV-DISABLED:disabled"] != true).filter_map(|flavor| {
            Some(Size {
                id: text(flavor, "id")?,
                name: text(flavor, "name")?,
                memory_mb: flavor["ram"].as_u64(),
                disk_gb: flavor["disk"].as_u64(),
                cpus: number(&flavor["vcpus"]),
                price: None,
            })
        });
        Ok(sizes.collect())
    }

    /// Orders a server; `more` is what one cloud says beyond what all do.
    pub fn create(&self, request: &CreateRequest, more: Value, progress: &dyn Progress) -> Result<Node> {
        let name = request.name.as_str();
        if self.named(name)?.any(|node| node.state != NodeState::Terminated) {
            return Err(Error::NameTaken { provider: self.api.provider().to_owned(), name: name.to_owned() });
        }
        let mark = order::new_mark();
        let mut server = json!({
            "name": name,
            "imageRef": request.image,
            "flavorRef": request.size,
            "user_data": STANDARD.encode(cloud_init::user_data(request)),
            "metadata": {MARK: "1", ORDER: mark},
        });
        if let Some(key) = self.key_name(&request.authorized_keys)? {
            server["key_name"] = key.into();
        }
        for (field, value) in more.as_object().into_iter().flatten() {
            server[field] = value.clone();
        }
        progress.step(&format!("ordering {name}"));
        order::once(
            || {
                let answer = self.api.json(&Request::post("servers").json(json!({"server": server})))?;
                let id = text(&answer["server"], "id").ok_or_else(|| self.api.lacks("servers", "id"))?;
                // The answer says no more, and asking could fail while the machine is there and costs.
                self.node(json!({
                    "id": id,
                    "name": name,
                    "status": "BUILD",
                    "image": {"id": request.image},
                    "flavor": {"id": request.size},
                    "metadata": server["metadata"],
                }))
            },
            || Ok(self.named(name)?.find(|node| node.answer["metadata"][ORDER] == mark.as_str())),
        )
    }

    pub fn destroy(&self, id: &str, progress: &dyn Progress) -> Result<()> {
        progress.step(&format!("destroying {id}"));
        self.api.send(&Request::delete(server(id))).map_err(|error| self.no_such_node(error, id))?;
        Ok(())
    }

    pub fn reboot(&self, id: &str) -> Result<()> {
        self.act(id, json!({"reboot": {"type": "SOFT"}}), false)
    }

    /// Nova refuses an order that does not fit the status, also where there is nothing to do; only then is the status looked at.
    pub fn tell(&self, id: &str, verb: &Verb) -> Result<()> {
        let action = |action: &str| json!({action: null});
        let error = match self.act(id, action(verb.action), true) {
            Err(error) if is_conflict(&error) => error,
            answered => return answered,
        };
        let node = self.get(id)?;
        if verb.done.contains(&node.state) {
            return Ok(());
        }
        match verb.others.iter().find(|(status, _)| node.answer["status"] == *status) {
            Some((_, other)) => self.act(id, action(other), true),
            None => Err(error),
        }
    }

    fn act(&self, id: &str, action: Value, repeatable: bool) -> Result<()> {
        let request = Request::post(format!("{}/action", server(id))).json(action);
        let request = if repeatable { request.repeatable() } else { request };
        self.api.send(&request).map_err(|error| self.no_such_node(error, id))?;
        Ok(())
    }

    /// The account's name of the first of these keys, which is imported when it is missing. A server has one key only; user-data
    /// brings all of them.
    fn key_name(&self, wanted: &[String]) -> Result<Option<String>> {
        const PATH: &str = "os-keypairs";
        let Some(key) = wanted.iter().find_map(|line| Key::parse(line)) else { return Ok(None) };
        let answer = self.api.json(&Request::get(PATH))?;
        let pairs = answer["keypairs"].as_array().ok_or_else(|| self.api.lacks(PATH, "keypairs"))?;
        let same = |pair: &&Value| text(pair, "public_key").is_some_and(|line| key.is(&line));
        if let Some(known) = pairs.iter().map(|pair| &pair["keypair"]).find(same) {
            return Ok(text(known, "name"));
        }
        let name = keys::name_of(&key);
        let body = json!({"keypair": {"name": name, "public_key": key.line()}});
        match self.api.send(&Request::post(PATH).json(body).repeatable()) {
            // Its name is made of the key: somebody has just imported the same one.
            Err(error) if !is_conflict(&error) => Err(error),
            _ => Ok(Some(name)),
        }
    }

    fn node(&self, server: Value) -> Result<Node> {
        let id = text(&server, "id").ok_or_else(|| self.api.lacks("servers", "id"))?;
        let (public_ips, private_ips) = addresses(&server["addresses"]);
        Ok(Node {
            name: text(&server, "name").unwrap_or_default(),
            provider: self.api.provider().to_owned(),
            id,
            state: state(&server),
            access: Access::root_at(&public_ips, &private_ips),
            public_ips,
            private_ips,
            // A server that starts from a volume has the empty text for an image.
            image: text(&server["image"], "id"),
            size: text(&server["flavor"], "id"),
            location: text(&server, "OS-EXT-AZ:availability_zone"),
            reason: text(&server["fault"], "message"),
            answer: server,
        })
    }

    fn no_such_node(&self, error: Error, id: &str) -> Error {
        if !error.is_not_found() {
            return error;
        }
        Error::NoSuchNode { provider: self.api.provider().to_owned(), id: id.into() }
    }

    pub fn api(&self) -> &Api {
        &self.api
    }
}

fn server(id: &str) -> String {
    format!("servers/{}", segment(id))
}

fn is_conflict(error: &Error) -> bool {
    matches!(error, Error::Refused(refusal) if refusal.reason == Reason::Conflict)
}

fn state(server: &Value) -> NodeState {
    let task = server["OS-EXT-STS:task_state"].as_str();
    let under_way = TASKS.iter().find(|(known, _)| Some(*known) == task);
    match under_way {
        Some((_, state)) => *state,
        None => NodeState::from_table(STATES, server["status"].as_str().unwrap_or_default()),
    }
}

/// The public and the private addresses in a server's networks: floating ones are public, of the others the number tells.
fn addresses(networks: &Value) -> (Vec<IpAddr>, Vec<IpAddr>) {
    let all = networks.as_object().into_iter().flat_map(|networks| networks.values());
    let (mut public, mut private) = (Vec::new(), Vec::new());
    for entry in all.filter_map(Value::as_array).flatten() {
        for ip in address_list([&entry["addr"]]) {
            let floating = entry["OS-EXT-IPS:type"] == "floating";
            let list = if floating || !is_private(&ip) { &mut public } else { &mut private };
            list.push(ip);
        }
    }
    (public, private)
}

/// Whether an address leads nowhere from outside.
fn is_private(ip: &IpAddr) -> bool {
    match ip {
        // 100.64/10 is what providers share among customers.
        IpAddr::V4(ip) => {
            ip.is_private()
                || ip.is_link_local()
                || ip.is_loopback()
                || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64)
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the Compute API's reference, "Server concepts", and its schema.
    const ALL: [&str; 20] = [
        "ACTIVE",
        "BUILD",
        "DELETED",
        "ERROR",
        "HARD_REBOOT",
        "MIGRATING",
        "PASSWORD",
        "PAUSED",
        "REBOOT",
        "REBUILD",
        "RESCUE",
        "RESIZE",
        "REVERT_RESIZE",
        "SHELVED",
        "SHELVED_OFFLOADED",
        "SHUTOFF",
        "SOFT_DELETED",
        "SUSPENDED",
        "UNKNOWN",
        "VERIFY_RESIZE",
    ];

    #[test]
    fn every_status_is_mapped() {
        for status in ALL {
            assert!(STATES.iter().any(|(known, _)| *known == status), "{status}");
            assert_eq!(state(&json!({"status": status})) == NodeState::Unknown, status == "UNKNOWN", "{status}");
        }
        assert_eq!(STATES.len(), ALL.len());
    }

    #[test]
    fn a_server_on_its_way_says_where_to() {
        for (status, task, expected) in [
            ("ACTIVE", json!("powering-off"), NodeState::Stopping),
            ("ACTIVE", json!("deleting"), NodeState::Terminated),
            ("BUILD", json!("spawning"), NodeState::Pending),
            ("ACTIVE", Value::Null, NodeState::Running),
            ("NEW_IN_2030", Value::Null, NodeState::Unknown),
        ] {
            assert_eq!(state(&json!({"status": status, "OS-EXT-STS:task_state": task})), expected);
        }
    }

    #[test]
    fn addresses_are_told_apart() {
        let networks = json!({
            "lan": [
                {"addr": "10.0.0.4", "version": 4, "OS-EXT-IPS:type": "fixed"},
                {"addr": "10.9.9.9", "version": 4, "OS-EXT-IPS:type": "floating"},
                {"addr": "fd00::1", "version": 6},
            ],
            "net": [{"addr": "198.51.100.7"}, {"addr": "100.64.0.1"}, {"addr": "2001:db8::7"}, {"addr": "nonsense"}, null],
            "odd": 1,
        });
        let (public, private) = addresses(&networks);
        let text = |ips: Vec<IpAddr>| ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(text(public), "10.9.9.9 198.51.100.7 2001:db8::7");
        assert_eq!(text(private), "10.0.0.4 fd00::1 100.64.0.1");
        assert_eq!(addresses(&Value::Null), (vec![], vec![]));
    }
}
