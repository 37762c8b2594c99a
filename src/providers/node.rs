//! The nouns of a provider: nodes, images, sizes, regions, and the wish for a new node.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::names::{NodeName, Secret};

/// One server as the provider's API describes it. As JSON it is one element of `list-nodes --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Node {
    /// As the API has it: another tool may have given a name that is no [`NodeName`].
    pub name: String,
    /// [`super::Provider::name`].
    pub provider: String,
    pub id: String,
    pub state: NodeState,
    pub public_ips: Vec<IpAddr>,
    pub private_ips: Vec<IpAddr>,
    pub image: Option<String>,
    pub size: Option<String>,
    pub location: Option<String>,
    /// How to reach it.
    #[serde(skip)]
    pub access: Access,
    /// Why it is in this state, in the API's words: an error's reason.
    #[serde(skip)]
    pub reason: Option<String>,
    /// The API's whole answer about this node, for the inventory.
    #[serde(skip)]
    pub answer: serde_json::Value,
}

/// How SSH reaches a node, as far as the provider knows. The provider itself never does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// An IP address or a host name; `None` until the node has one.
    pub address: Option<String>,
    pub port: u16,
    /// The user the authorized keys were given to.
    pub user: String,
    /// The node's public host keys (`ssh-ed25519 AAAA...`) where the provider knows them for sure: pin them.
    pub host_keys: Vec<String>,
    /// A port of this machine's loopback that leads to port 80 of the node (the local provider).
    pub forwarded_port: Option<u16>,
}

impl Default for Access {
    fn default() -> Self {
        Access { address: None, port: 22, user: "root".into(), host_keys: Vec::new(), forwarded_port: None }
    }
}

impl Access {
    /// root at the first address: a public IPv4 one before a public IPv6 one before a private one.
    pub fn root_at(public: &[IpAddr], private: &[IpAddr]) -> Self {
        let first = public.iter().find(|ip| ip.is_ipv4()).or(public.first()).or(private.first());
        Access { address: first.map(ToString::to_string), ..Access::default() }
    }
}

/// What every API's states are mapped to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Ordered, not yet usable.
    Pending,
    Running,
    Rebooting,
    Stopping,
    Stopped,
    Suspended,
    /// Gone, or going; it will not come back.
    Terminated,
    /// The provider gave up on it.
    Error,
    /// The API says something this program has no word for.
    Unknown,
}

impl NodeState {
    pub const ALL: [NodeState; 9] = [
        NodeState::Pending,
        NodeState::Running,
        NodeState::Rebooting,
        NodeState::Stopping,
        NodeState::Stopped,
        NodeState::Suspended,
        NodeState::Terminated,
        NodeState::Error,
        NodeState::Unknown,
    ];

    /// What an API's word means, by a driver's table; [`NodeState::Unknown`] for a word that is not in it.
    pub fn from_table(table: &[(&str, NodeState)], word: &str) -> Self {
        let known = table.iter().find(|(known, _)| known.eq_ignore_ascii_case(word));
        known.map_or(NodeState::Unknown, |(_, state)| *state)
    }

    /// The state of that [`NodeState::name`].
    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.name() == name).unwrap_or(NodeState::Unknown)
    }

    /// The word of `list-nodes` and its JSON.
    pub fn name(self) -> &'static str {
        match self {
            NodeState::Pending => "pending",
            NodeState::Running => "running",
            NodeState::Rebooting => "rebooting",
            NodeState::Stopping => "stopping",
            NodeState::Stopped => "stopped",
            NodeState::Suspended => "suspended",
            NodeState::Terminated => "terminated",
            NodeState::Error => "error",
            NodeState::Unknown => "unknown",
        }
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a node's disk is filled with at first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Image {
    pub id: String,
    /// What people call it; often the same as the id.
    pub name: String,
    /// One sentence more, may be empty.
    pub description: String,
}

/// How big a node is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Size {
    pub id: String,
    pub name: String,
    pub memory_mb: Option<u64>,
    pub disk_gb: Option<u64>,
    pub cpus: Option<f64>,
    pub price: Option<Price>,
}

/// What a node of a size costs, as far as the API (or the data shipped with cloudtool) says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Price {
    pub monthly: Option<f64>,
    pub hourly: Option<f64>,
    /// ISO 4217: `USD`, `EUR`.
    pub currency: String,
}

/// A place nodes can be made in: the `location` of a node. (Called region here, because [`crate::names::Location`] is where
/// an app is reached.)
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Region {
    pub id: String,
    pub name: String,
    /// ISO 3166 country code, where the API says.
    pub country: Option<String>,
}

/// The regions, the one of the settings first.
pub(super) fn default_first(mut regions: Vec<Region>, own: Option<&str>) -> Vec<Region> {
    regions.sort_by_key(|region| own != Some(region.id.as_str()));
    regions
}

/// An SSH host key made by the caller, to be put onto the node before its first boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKeyPair {
    /// One OpenSSH line: `ssh-ed25519 AAAA...`.
    pub public: String,
    /// The private key in OpenSSH's format.
    pub private: Secret,
}

/// The wish for a new node. Ids are of this provider's images, sizes and regions: choose them with [`super::select`].
#[derive(Debug, Clone)]
pub struct CreateRequest {
    pub name: NodeName,
    pub image: String,
    pub size: String,
    /// `None`: the provider's default.
    pub location: Option<String>,
    /// Public keys (OpenSSH lines) that may log in.
    pub authorized_keys: Vec<String>,
    /// `None`: the provider may make one and tell it in [`Access::host_keys`].
    pub host_key: Option<HostKeyPair>,
    /// cloud-init user-data, where the provider can.
    pub user_data: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_serialises_to_the_fields_of_list_nodes_and_no_other() {
        let node = Node {
            name: "demo".into(),
            provider: "local".into(),
            id: "demo".into(),
            state: NodeState::Running,
            public_ips: vec![],
            private_ips: vec!["198.18.77.2".parse().unwrap()],
            image: Some("debian-12".into()),
            size: Some("small".into()),
            location: None,
            access: Access::default(),
            reason: Some("not shown".into()),
            answer: serde_json::json!({"not": "shown"}),
        };
        assert_eq!(
            serde_json::to_string(&node).unwrap(),
            r#"{"name":"demo","provider":"local","id":"demo","state":"running","public_ips":[],"private_ips":["198.18.77.2"],"image":"debian-12","size":"small","location":null}"#
        );
    }

    #[test]
    fn a_state_is_written_the_same_way_everywhere() {
        for state in NodeState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
            assert_eq!(NodeState::named(state.name()), state);
        }
    }
}
