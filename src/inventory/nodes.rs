//! The nodes we know, of all providers.

use std::net::IpAddr;
use std::path::PathBuf;

use rusqlite::{OptionalExtension, Row, named_params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::{Error, Result};
use super::open::Inventory;
use crate::providers::{Access, Node, NodeState, hosts};

/// One node as it was last seen, and how to log in to it.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeRecord {
    pub provider: String,
    /// The provider's id of it. With `provider` the key.
    pub id: String,
    pub name: String,
    /// A host name or an IP address.
    pub address: Option<String>,
    pub port: u16,
    pub user: Option<String>,
    /// The private key file that opens it, where one was named.
    pub identity: Option<PathBuf>,
    /// Its public host keys, OpenSSH lines (`ssh-ed25519 AAAA...`).
    pub host_keys: Vec<String>,
    /// What the provider's API said about it, whole.
    pub answer: Value,
    pub state: NodeState,
    pub public_ips: Vec<IpAddr>,
    pub private_ips: Vec<IpAddr>,
    pub image: Option<String>,
    pub size: Option<String>,
    pub location: Option<String>,
    /// Somebody has logged in to it from here: `user` is known to be right.
    pub met: bool,
    /// Its private host key was made on this machine and went through other hands (a cloud's user-data): the first login replaces it.
    pub key_made_here: bool,
}

impl NodeRecord {
    /// A node as its provider describes it now, with what is `known` from before about how to log in to it.
    pub fn of(node: &Node, known: Option<NodeRecord>) -> Self {
        let known = match known {
            // Nobody but us knows a plain host: there is only its state to be learned.
            Some(known) if node.provider == hosts::NAME => return NodeRecord { state: node.state, ..known },
            Some(known) => known,
            None => NodeRecord { user: Some(node.access.user.clone()), ..NodeRecord::default() },
        };
        let told = &node.access.host_keys;
        NodeRecord {
            provider: node.provider.clone(),
            id: node.id.clone(),
            name: node.name.clone(),
            address: node.access.address.clone(),
            port: node.access.port,
            host_keys: if told.is_empty() { known.host_keys } else { told.clone() },
            answer: json!({"api": node.answer, "forwarded_port": node.access.forwarded_port}),
            state: node.state,
            public_ips: node.public_ips.clone(),
            private_ips: node.private_ips.clone(),
            image: node.image.clone(),
            size: node.size.clone(),
            location: node.location.clone(),
            ..known
        }
    }

    /// The node as it was last described.
    pub fn as_node(&self) -> Node {
        Node {
            name: self.name.clone(),
            provider: self.provider.clone(),
            id: self.id.clone(),
            state: self.state,
            public_ips: self.public_ips.clone(),
            private_ips: self.private_ips.clone(),
            image: self.image.clone(),
            size: self.size.clone(),
            location: self.location.clone(),
            access: Access {
                address: self.address.clone(),
                port: self.port,
                user: self.user.clone().unwrap_or_else(|| Access::default().user),
                host_keys: self.host_keys.clone(),
                forwarded_port: None,
            },
            reason: None,
            answer: self.answer.clone(),
        }
    }
}

impl Default for NodeRecord {
    fn default() -> Self {
        NodeRecord {
            provider: String::new(),
            id: String::new(),
            name: String::new(),
            address: None,
            port: 22,
            user: None,
            identity: None,
            host_keys: Vec::new(),
            answer: Value::Null,
            state: NodeState::Unknown,
            public_ips: Vec::new(),
            private_ips: Vec::new(),
            image: None,
            size: None,
            location: None,
            met: false,
            key_made_here: false,
        }
    }
}

impl Inventory {
    /// Writes a node down, whole: what was known of the same provider and id is replaced.
    pub fn upsert_node(&self, node: &NodeRecord) -> Result<()> {
        let identity = node.identity.as_ref().map(|path| path.to_string_lossy());
        self.sql(self.db.execute(
            "INSERT INTO nodes (provider, id, name, address, port, user, identity, host_keys, answer, state, public_ips,
                private_ips, image, size, location, met, key_made_here, updated)
             VALUES (:provider, :id, :name, :address, :port, :user, :identity, :host_keys, :answer, :state, :public_ips,
                :private_ips, :image, :size, :location, :met, :key_made_here, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
             ON CONFLICT (provider, id) DO UPDATE SET
                name = excluded.name, address = excluded.address, port = excluded.port, user = excluded.user,
                identity = excluded.identity, host_keys = excluded.host_keys, answer = excluded.answer,
                state = excluded.state, public_ips = excluded.public_ips, private_ips = excluded.private_ips,
                image = excluded.image, size = excluded.size, location = excluded.location, met = excluded.met,
                key_made_here = excluded.key_made_here, updated = excluded.updated",
            named_params! {
                ":provider": node.provider,
                ":id": node.id,
                ":name": node.name,
                ":address": node.address,
                ":port": node.port,
                ":user": node.user,
                ":identity": identity,
                ":host_keys": json_text(&node.host_keys),
                ":answer": node.answer.to_string(),
                ":state": node.state.name(),
                ":public_ips": json_text(&node.public_ips),
                ":private_ips": json_text(&node.private_ips),
                ":image": node.image,
                ":size": node.size,
                ":location": node.location,
                ":met": node.met,
                ":key_made_here": node.key_made_here,
            },
        ))?;
        Ok(())
    }

    /// The node of that provider and id.
    pub fn get_node(&self, provider: &str, id: &str) -> Result<Option<NodeRecord>> {
        let sql = "SELECT * FROM nodes WHERE provider = ?1 AND id = ?2";
        self.sql(self.db.query_row(sql, [provider, id], read).optional())
    }

    /// Every node, by provider and name.
    pub fn nodes(&self) -> Result<Vec<NodeRecord>> {
        self.select_nodes("ORDER BY provider, name, id", &[])
    }

    /// The node of that name; or, when there is none, of that address. [`Error::Ambiguous`] when there are several.
    pub fn find_node(&self, name_or_address: &str) -> Result<Option<NodeRecord>> {
        for wanted in ["WHERE name = ?1", "WHERE address = ?1"] {
            let found = self.select_nodes(wanted, &[name_or_address])?;
            if !found.is_empty() {
                return only_one(found, name_or_address);
            }
        }
        Ok(None)
    }

    /// Forgets a node with its locations, and that it was the default. True when it was known.
    pub fn remove_node(&mut self, provider: &str, id: &str) -> Result<bool> {
        let path_error = self.path_error();
        let remove = |db: &mut rusqlite::Connection| {
            let change = db.transaction()?;
            change.execute(
                "DELETE FROM settings WHERE name = 'default_node'
                 AND value = (SELECT name FROM nodes WHERE provider = ?1 AND id = ?2)",
                [provider, id],
            )?;
            let removed = change.execute("DELETE FROM nodes WHERE provider = ?1 AND id = ?2", [provider, id])?;
            change.commit()?;
            Ok(removed > 0)
        };
        remove(&mut self.db).map_err(path_error)
    }

    /// Nodes by the end of a SELECT.
    pub(super) fn select_nodes(&self, rest: &str, values: &[&str]) -> Result<Vec<NodeRecord>> {
        let mut query = self.sql(self.db.prepare_cached(&format!("SELECT nodes.* FROM nodes {rest}")))?;
        let rows = self.sql(query.query_map(rusqlite::params_from_iter(values), read))?;
        self.sql(rows.collect())
    }
}

pub(super) fn only_one(mut found: Vec<NodeRecord>, what: &str) -> Result<Option<NodeRecord>> {
    if found.len() > 1 {
        let nodes = found.into_iter().map(|node| format!("{} ({} {})", node.name, node.provider, node.id)).collect();
        return Err(Error::Ambiguous { what: what.to_owned(), nodes });
    }
    Ok(found.pop())
}

fn read(row: &Row<'_>) -> rusqlite::Result<NodeRecord> {
    let json = |column: &str| row.get::<_, String>(column);
    Ok(NodeRecord {
        provider: row.get("provider")?,
        id: row.get("id")?,
        name: row.get("name")?,
        address: row.get("address")?,
        port: row.get("port")?,
        user: row.get("user")?,
        identity: row.get::<_, Option<String>>("identity")?.map(PathBuf::from),
        host_keys: from_json(&json("host_keys")?),
        answer: from_json(&json("answer")?),
        state: NodeState::named(&row.get::<_, String>("state")?),
        public_ips: from_json(&json("public_ips")?),
        private_ips: from_json(&json("private_ips")?),
        image: row.get("image")?,
        size: row.get("size")?,
        location: row.get("location")?,
        met: row.get("met")?,
        key_made_here: row.get("key_made_here")?,
    })
}

fn json_text(list: &impl Serialize) -> String {
    json!(list).to_string()
}

/// What is no JSON any more was written by something else: it is no reason to lose the node.
fn from_json<T: DeserializeOwned + Default>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(provider: &str, id: &str, name: &str, address: &str) -> NodeRecord {
        NodeRecord {
            provider: provider.into(),
            id: id.into(),
            name: name.into(),
            address: Some(address.into()),
            port: 2222,
            user: Some("admin".into()),
            identity: Some("/home/me/.ssh/id".into()),
            host_keys: vec!["ssh-ed25519 AAAA".into()],
            answer: json!({"deep": {"er": [1, 2]}}),
            state: NodeState::Running,
            public_ips: vec!["2001:db8::1".parse().unwrap()],
            private_ips: vec!["10.0.0.1".parse().unwrap()],
            image: Some("debian-12".into()),
            size: None,
            location: Some("here".into()),
            met: true,
            key_made_here: true,
        }
    }

    #[test]
    fn what_goes_in_comes_out() {
        let dir = tempfile::tempdir().unwrap();
        let (mut inventory, _) = Inventory::open_in(dir.path()).unwrap();
        let mut demo = node("local", "demo", "demo", "198.18.77.2");
        inventory.upsert_node(&demo).unwrap();
        demo.address = None;
        inventory.upsert_node(&demo).unwrap();
        assert_eq!(inventory.get_node("local", "demo").unwrap().as_ref(), Some(&demo));
        assert_eq!(inventory.nodes().unwrap(), [demo]);
        inventory.set_default_node(Some("demo")).unwrap();
        assert!(inventory.remove_node("local", "demo").unwrap());
        assert!(!inventory.remove_node("local", "demo").unwrap());
        assert_eq!(inventory.default_node().unwrap(), None);
    }

    #[test]
    fn a_node_is_found_by_name_or_address() {
        let dir = tempfile::tempdir().unwrap();
        let (inventory, _) = Inventory::open_in(dir.path()).unwrap();
        inventory.upsert_node(&node("local", "a", "web", "10.0.0.1")).unwrap();
        inventory.upsert_node(&node("ec2", "i-1", "db", "10.0.0.2")).unwrap();
        inventory.upsert_node(&node("ec2", "i-2", "web", "10.0.0.3")).unwrap();
        let id = |what: &str| inventory.find_node(what).map(|n| n.map(|n| n.id));
        assert_eq!(id("db").unwrap().as_deref(), Some("i-1"));
        assert_eq!(id("10.0.0.3").unwrap().as_deref(), Some("i-2"));
        assert_eq!(id("nobody").unwrap(), None);
        assert_eq!(id("web").unwrap_err().to_string(), "web is on several nodes: web (local a), web (ec2 i-2)");
    }

    #[test]
    fn what_is_known_about_logging_in_outlives_a_new_description() {
        let known = node("local", "demo", "demo", "198.18.77.2");
        let mut described = known.as_node();
        described.state = NodeState::Stopped;
        described.access = Access { address: Some("198.18.77.3".into()), ..Access::default() };
        let record = NodeRecord::of(&described, Some(known.clone()));
        assert_eq!((record.state, record.address.as_deref()), (NodeState::Stopped, Some("198.18.77.3")));
        assert_eq!(
            (&record.user, &record.identity, &record.host_keys),
            (&known.user, &known.identity, &known.host_keys)
        );
        let new = NodeRecord::of(&described, None);
        assert_eq!((new.user.as_deref(), new.met), (Some("root"), false));
        let host = NodeRecord { provider: hosts::NAME.into(), ..known };
        assert_eq!(
            NodeRecord::of(&Node { provider: hosts::NAME.into(), ..described }, Some(host.clone())).address,
            host.address
        );
    }
}
