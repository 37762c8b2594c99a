//! The nodes we know, of all providers.

use std::path::PathBuf;

use rusqlite::{OptionalExtension, Row, params};

use super::error::{Error, Result};
use super::open::Inventory;

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
    pub answer: serde_json::Value,
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
            answer: serde_json::Value::Null,
        }
    }
}

const COLUMNS: &str = "nodes.provider, nodes.id, nodes.name, nodes.address, nodes.port, nodes.user, nodes.identity, nodes.host_keys, nodes.answer";

impl Inventory {
    /// Writes a node down, whole: what was known of the same provider and id is replaced.
    pub fn upsert_node(&self, node: &NodeRecord) -> Result<()> {
        let host_keys = serde_json::Value::from(node.host_keys.clone()).to_string();
        let identity = node.identity.as_ref().map(|path| path.to_string_lossy());
        self.sql(self.db.execute(
            "INSERT INTO nodes (provider, id, name, address, port, user, identity, host_keys, answer, updated)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
             ON CONFLICT (provider, id) DO UPDATE SET
                name = excluded.name, address = excluded.address, port = excluded.port, user = excluded.user,
                identity = excluded.identity, host_keys = excluded.host_keys, answer = excluded.answer,
                updated = excluded.updated",
            params![
                node.provider,
                node.id,
                node.name,
                node.address,
                node.port,
                node.user,
                identity,
                host_keys,
                node.answer.to_string()
            ],
        ))?;
        Ok(())
    }

    /// The node of that provider and id.
    pub fn get_node(&self, provider: &str, id: &str) -> Result<Option<NodeRecord>> {
        let sql = format!("SELECT {COLUMNS} FROM nodes WHERE provider = ?1 AND id = ?2");
        self.sql(self.db.query_row(&sql, [provider, id], read).optional())
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
        let mut query = self.sql(self.db.prepare_cached(&format!("SELECT {COLUMNS} FROM nodes {rest}")))?;
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
    // What is no JSON any more was written by something else: it is no reason to lose the node.
    let json = |text: String| serde_json::from_str(&text).unwrap_or(serde_json::Value::Null);
    Ok(NodeRecord {
        provider: row.get(0)?,
        id: row.get(1)?,
        name: row.get(2)?,
        address: row.get(3)?,
        port: row.get(4)?,
        user: row.get(5)?,
        identity: row.get::<_, Option<String>>(6)?.map(PathBuf::from),
        host_keys: serde_json::from_value(json(row.get(7)?)).unwrap_or_default(),
        answer: json(row.get(8)?),
    })
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
            answer: serde_json::json!({"deep": {"er": [1, 2]}}),
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
}
