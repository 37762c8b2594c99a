//! What the API says of an instance, as a node.

use serde_json::Value;

use super::xml::items;
use crate::providers::json::{address_list, text};
use crate::providers::{Access, Node, NodeState};

/// `instanceState/name`.
pub const STATES: &[(&str, NodeState)] = &[
    ("pending", NodeState::Pending),
    ("running", NodeState::Running),
    ("stopping", NodeState::Stopping),
    ("stopped", NodeState::Stopped),
    ("shutting-down", NodeState::Terminated),
    ("terminated", NodeState::Terminated),
];

/// An instance without an id is none.
pub fn node(provider: &str, instance: Value) -> Option<Node> {
    let id = text(&instance, "instanceId")?;
    let state = text(&instance["instanceState"], "name").unwrap_or_default();
    let ip = |field: &str| instance.get(field).cloned().unwrap_or_default();
    let mut public = vec![ip("ipAddress"), ip("dnsName"), ip("ipv6Address")];
    for interface in items(&instance, "networkInterfaceSet") {
        public.extend(items(interface, "ipv6AddressesSet").iter().map(|address| address["ipv6Address"].clone()));
    }
    // Where there is no DNS, Eucalyptus writes addresses into the names.
    let mut private_ips = address_list(&[ip("privateIpAddress"), ip("privateDnsName")]);
    let mut public_ips = address_list(&public);
    private_ips.dedup();
    let mut seen = Vec::new();
    public_ips.retain(|ip| {
        let is_new = !seen.contains(ip) && !private_ips.contains(ip);
        seen.push(*ip);
        is_new
    });
    Some(Node {
        name: tag(&instance, "Name").unwrap_or_else(|| id.clone()),
        provider: provider.to_owned(),
        id,
        state: NodeState::from_table(STATES, &state),
        access: Access::root_at(&public_ips, &private_ips),
        public_ips,
        private_ips,
        image: text(&instance, "imageId"),
        size: text(&instance, "instanceType"),
        location: text(&instance["placement"], "availabilityZone"),
        reason: text(&instance["stateReason"], "message").or_else(|| text(&instance, "reason")),
        answer: instance,
    })
}

/// The value of a tag.
pub fn tag(instance: &Value, key: &str) -> Option<String> {
    let tag = items(instance, "tagSet").iter().find(|tag| tag["key"] == key)?;
    text(tag, "value")
}

/// Whether it has ended, and is only still listed.
pub fn has_ended(node: &Node) -> bool {
    node.answer["instanceState"]["name"] == "terminated"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `InstanceStateName` of the API's model.
    const ALL: [&str; 6] = ["pending", "running", "shutting-down", "terminated", "stopping", "stopped"];

    #[test]
    fn every_state_of_the_api_is_mapped() {
        for word in ALL {
            assert_ne!(NodeState::from_table(STATES, word), NodeState::Unknown, "{word}");
        }
        assert_eq!(STATES.len(), ALL.len());
    }

    #[test]
    fn an_instance_is_a_node() {
        let node = node(
            "e",
            json!({
                "instanceId": "i-1", "imageId": "ami-1", "instanceType": "t3.micro",
                "instanceState": {"code": "16", "name": "running"},
                "ipAddress": "192.0.2.1", "privateIpAddress": "10.0.0.1", "dnsName": "x.test", "privateDnsName": "ip-10-0-0-1",
                "networkInterfaceSet": [{"ipv6AddressesSet": [{"ipv6Address": "2001:db8::1"}]}],
                "placement": {"availabilityZone": "eu-west-1a"},
                "stateReason": {"code": "x", "message": "no capacity"},
                "tagSet": [{"key": "a", "value": "b"}, {"key": "Name", "value": "web"}],
            }),
        )
        .unwrap();
        assert_eq!((node.name.as_str(), node.id.as_str(), node.state), ("web", "i-1", NodeState::Running));
        assert_eq!(node.public_ips.iter().map(ToString::to_string).collect::<Vec<_>>(), ["192.0.2.1", "2001:db8::1"]);
        assert_eq!(node.private_ips.len(), 1);
        assert_eq!((node.size.as_deref(), node.location.as_deref()), (Some("t3.micro"), Some("eu-west-1a")));
        assert_eq!(node.reason.as_deref(), Some("no capacity"));
    }

    #[test]
    fn eucalyptus_writes_addresses_into_names() {
        let instance = json!({
            "instanceId": "i-1", "dnsName": "192.0.2.1", "privateDnsName": "10.0.0.1", "ipAddress": "192.0.2.1",
            "privateIpAddress": "10.0.0.1", "tagSet": "", "instanceState": {"name": "pending"},
        });
        let node = node("e", instance).unwrap();
        assert_eq!((node.public_ips.len(), node.private_ips.len(), node.name.as_str()), (1, 1, "i-1"));
        let waiting = json!({"instanceId": "i-1", "ipAddress": "0.0.0.0", "dnsName": "0.0.0.0"});
        assert!(super::node("e", waiting).unwrap().access.address.is_none());
        assert!(super::node("e", json!({})).is_none());
    }
}
