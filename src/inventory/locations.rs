//! Which node serves which location, as far as the nodes have told.

use super::error::Result;
use super::nodes::{NodeRecord, only_one};
use super::open::Inventory;
use crate::names::{AppName, Location};

impl Inventory {
    /// Replaces all that is known about one node's locations by `locations` (with the app behind each). The node must be in
    /// the inventory.
    pub fn learn_locations(&mut self, provider: &str, id: &str, locations: &[(Location, AppName)]) -> Result<()> {
        self.replace_locations(provider, id, None, locations.iter().map(|(location, app)| (location, app)))
    }

    /// Replaces what is known about the locations of one app on one node. The node must be in the inventory.
    pub fn learn_app(&mut self, provider: &str, id: &str, app: &AppName, locations: &[Location]) -> Result<()> {
        self.replace_locations(provider, id, Some(app), locations.iter().map(|location| (location, app)))
    }

    /// `app`: whose locations are forgotten first; none: everybody's.
    fn replace_locations<'a>(
        &mut self,
        provider: &str,
        id: &str,
        app: Option<&AppName>,
        locations: impl Iterator<Item = (&'a Location, &'a AppName)>,
    ) -> Result<()> {
        let path_error = self.path_error();
        let replace = |db: &mut rusqlite::Connection| {
            let change = db.transaction()?;
            change.execute(
                "DELETE FROM locations WHERE provider = ?1 AND node_id = ?2 AND (?3 IS NULL OR app = ?3)",
                rusqlite::params![provider, id, app.map(AppName::as_str)],
            )?;
            for (location, app) in locations {
                change.execute(
                    "INSERT OR REPLACE INTO locations (location, provider, node_id, app) VALUES (?1, ?2, ?3, ?4)",
                    [&location.to_string(), provider, id, app.as_str()],
                )?;
            }
            change.commit()
        };
        replace(&mut self.db).map_err(path_error)
    }

    /// Every location that is known, and the app behind it.
    pub fn locations(&self) -> Result<Vec<(String, String)>> {
        let mut query =
            self.sql(self.db.prepare_cached("SELECT DISTINCT location, app FROM locations ORDER BY location"))?;
        let rows = self.sql(query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))))?;
        self.sql(rows.collect())
    }

    /// The node that serves exactly this location; [`super::Error::Ambiguous`] when several do.
    pub fn node_for_location(&self, location: &Location) -> Result<Option<NodeRecord>> {
        only_one(self.nodes_for_location(location)?, &location.to_string())
    }

    /// The nodes that serve exactly this location.
    pub fn nodes_for_location(&self, location: &Location) -> Result<Vec<NodeRecord>> {
        self.select_nodes(
            "JOIN locations l ON l.provider = nodes.provider AND l.node_id = nodes.id WHERE l.location = ?1",
            &[&location.to_string()],
        )
    }

    /// The node that serves any location of this app; [`super::Error::Ambiguous`] when several do.
    pub fn node_for_app(&self, app: &AppName) -> Result<Option<NodeRecord>> {
        only_one(self.nodes_for_app(app)?, app.as_str())
    }

    /// The nodes that serve any location of this app.
    pub fn nodes_for_app(&self, app: &AppName) -> Result<Vec<NodeRecord>> {
        self.select_nodes(
            "WHERE (provider, id) IN (SELECT provider, node_id FROM locations WHERE app = ?1)",
            &[app.as_str()],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_leads_to_its_node() {
        let dir = tempfile::tempdir().unwrap();
        let (mut inventory, _) = Inventory::open_in(dir.path()).unwrap();
        for id in ["a", "b"] {
            let node = NodeRecord { provider: "p".into(), id: id.into(), name: id.into(), ..NodeRecord::default() };
            inventory.upsert_node(&node).unwrap();
        }
        let pair = |location: &str, app: &str| (location.parse::<Location>().unwrap(), app.parse::<AppName>().unwrap());
        inventory.learn_locations("p", "a", &[pair("one.com", "x"), pair("two.com/blog", "y")]).unwrap();
        inventory.learn_locations("p", "b", &[pair("three.com", "z"), pair("*.three.com", "z")]).unwrap();
        let on = |i: &Inventory, location: &str| {
            i.node_for_location(&location.parse().unwrap()).map(|node| node.map(|node| node.id))
        };
        assert_eq!(on(&inventory, "two.com/blog").unwrap().as_deref(), Some("a"));
        assert_eq!(on(&inventory, "two.com").unwrap(), None);
        assert_eq!(inventory.node_for_app(&"z".parse().unwrap()).unwrap().unwrap().id, "b");

        inventory.learn_locations("p", "b", &[pair("one.com", "x")]).unwrap();
        assert_eq!(on(&inventory, "three.com").unwrap(), None);
        assert_eq!(inventory.nodes_for_location(&"one.com".parse().unwrap()).unwrap().len(), 2);
        assert!(on(&inventory, "one.com").unwrap_err().to_string().starts_with("one.com is on several nodes"));
        inventory.remove_node("p", "a").unwrap();
        assert_eq!(on(&inventory, "one.com").unwrap().as_deref(), Some("b"));
        let z = "z".parse().unwrap();
        inventory.learn_app("p", "b", &z, &["four.com".parse().unwrap()]).unwrap();
        inventory.learn_app("p", "b", &z, &["five.com".parse().unwrap()]).unwrap();
        assert_eq!(on(&inventory, "four.com").unwrap(), None);
        assert_eq!(on(&inventory, "five.com").unwrap().as_deref(), Some("b"));
        assert_eq!(on(&inventory, "one.com").unwrap().as_deref(), Some("b"));
        assert!(inventory.learn_locations("p", "gone", &[pair("one.com", "x")]).is_err());
    }
}
