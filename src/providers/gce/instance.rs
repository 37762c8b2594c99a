//! An instance, as it is ordered and as the API describes it. Pure.

use serde_json::{Value, json};

use super::Gce;
use crate::providers::json::{address_list, text};
use crate::providers::keys::Key;
use crate::providers::{Access, CreateRequest, Node, NodeState, Result, cloud_init};

/// `status` of an instance.
const STATES: &[(&str, NodeState)] = &[
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

/// Where an instance says what it was made of: its disk, which knows, would have to be asked for.
const IMAGE_ITEM: &str = "cloudtool-image";

impl Gce {
    /// The body of an order.
    pub(super) fn wish(&self, request: &CreateRequest, zone: &str, mark: &str) -> Value {
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

    pub(super) fn node(&self, mut instance: Value) -> Result<Node> {
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
}

/// The last part of an address (`https://.../zones/us-central1-b`), which is the thing's name.
fn last(value: &Value, field: &str) -> Option<String> {
    text(value, field)?.rsplit('/').next().map(str::to_owned)
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
}
