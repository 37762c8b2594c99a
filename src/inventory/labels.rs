//! Labels: words a person gave to nodes, to name several at once.

use super::error::Result;
use super::nodes::NodeRecord;
use super::open::Inventory;

impl Inventory {
    /// Gives a node, which must be in the inventory, a label. It may have it already.
    pub fn add_label(&self, provider: &str, id: &str, label: &str) -> Result<()> {
        let sql = "INSERT OR IGNORE INTO labels (label, provider, node_id) VALUES (?1, ?2, ?3)";
        self.sql(self.db.execute(sql, [label, provider, id]))?;
        Ok(())
    }

    /// Takes a label away from a node. True when it had it.
    pub fn remove_label(&self, provider: &str, id: &str, label: &str) -> Result<bool> {
        let sql = "DELETE FROM labels WHERE label = ?1 AND provider = ?2 AND node_id = ?3";
        Ok(self.sql(self.db.execute(sql, [label, provider, id]))? > 0)
    }

    /// A node's labels, sorted.
    pub fn labels(&self, provider: &str, id: &str) -> Result<Vec<String>> {
        let sql = "SELECT label FROM labels WHERE provider = ?1 AND node_id = ?2 ORDER BY label";
        let mut query = self.sql(self.db.prepare_cached(sql))?;
        let rows = self.sql(query.query_map([provider, id], |row| row.get(0)))?;
        self.sql(rows.collect())
    }

    /// The labels that nodes have, sorted, each once.
    pub fn all_labels(&self) -> Result<Vec<String>> {
        let mut query = self.sql(self.db.prepare_cached("SELECT DISTINCT label FROM labels ORDER BY label"))?;
        let rows = self.sql(query.query_map([], |row| row.get(0)))?;
        self.sql(rows.collect())
    }

    /// The nodes with a label, by provider and name.
    pub fn labelled(&self, label: &str) -> Result<Vec<NodeRecord>> {
        self.select_nodes(
            "JOIN labels l ON l.provider = nodes.provider AND l.node_id = nodes.id WHERE l.label = ?1
             ORDER BY nodes.provider, nodes.name, nodes.id",
            &[label],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_go_with_their_node() {
        let dir = tempfile::tempdir().unwrap();
        let (mut inventory, _) = Inventory::open_in(dir.path()).unwrap();
        for id in ["a", "b"] {
            let node = NodeRecord { provider: "p".into(), id: id.into(), name: id.into(), ..NodeRecord::default() };
            inventory.upsert_node(&node).unwrap();
            inventory.add_label("p", id, "web").unwrap();
            inventory.add_label("p", id, "web").unwrap();
            // Described anew, it keeps them.
            inventory.upsert_node(&node).unwrap();
        }
        inventory.add_label("p", "a", "blue").unwrap();
        assert_eq!(inventory.labels("p", "a").unwrap(), ["blue", "web"]);
        assert_eq!(inventory.all_labels().unwrap(), ["blue", "web"]);
        let names = |inventory: &Inventory, label: &str| -> Vec<String> {
            inventory.labelled(label).unwrap().into_iter().map(|node| node.name).collect()
        };
        assert_eq!(names(&inventory, "web"), ["a", "b"]);
        assert!(inventory.remove_label("p", "a", "web").unwrap());
        assert!(!inventory.remove_label("p", "a", "web").unwrap());
        inventory.remove_node("p", "b").unwrap();
        assert_eq!(names(&inventory, "web"), [""; 0]);
        assert!(inventory.add_label("p", "gone", "web").is_err());
    }
}
