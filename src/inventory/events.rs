//! Who did what, when, with what result, from this machine.

use rusqlite::params;
use serde::Serialize;

use super::error::Result;
use super::open::Inventory;

/// Something that has just happened. No secret may be in it.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewEvent<'a> {
    /// `user@host` of the person.
    pub by: &'a str,
    /// The command: `update`, `create-node`.
    pub verb: &'a str,
    pub node: Option<&'a str>,
    pub app: Option<&'a str>,
    /// `ok`, or a [`crate::error::Kind`]'s name.
    pub result: &'a str,
    /// A sentence: the release, the error's message.
    pub detail: Option<&'a str>,
}

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// UTC, `YYYY-MM-DDTHH:MM:SSZ`.
    pub at: String,
    pub by: String,
    pub verb: String,
    pub node: Option<String>,
    pub app: Option<String>,
    pub result: String,
    pub detail: Option<String>,
}

impl Inventory {
    pub fn record_event(&self, event: &NewEvent<'_>) -> Result<()> {
        self.sql(self.db.execute(
            "INSERT INTO events (at, by, verb, node, app, result, detail)
             VALUES (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'), ?1, ?2, ?3, ?4, ?5, ?6)",
            params![event.by, event.verb, event.node, event.app, event.result, event.detail],
        ))?;
        Ok(())
    }

    /// The last `limit` events, newest first.
    pub fn events(&self, limit: u32) -> Result<Vec<Event>> {
        let sql = "SELECT at, by, verb, node, app, result, detail FROM events ORDER BY id DESC LIMIT ?1";
        let mut query = self.sql(self.db.prepare_cached(sql))?;
        let rows = self.sql(query.query_map([limit], |row| {
            Ok(Event {
                at: row.get(0)?,
                by: row.get(1)?,
                verb: row.get(2)?,
                node: row.get(3)?,
                app: row.get(4)?,
                result: row.get(5)?,
                detail: row.get(6)?,
            })
        }))?;
        self.sql(rows.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_event_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let (inventory, _) = Inventory::open_in(dir.path()).unwrap();
        for verb in ["create-node", "update"] {
            let event = NewEvent { by: "me@here", verb, node: Some("demo"), result: "ok", ..NewEvent::default() };
            inventory.record_event(&event).unwrap();
        }
        let events = inventory.events(1).unwrap();
        assert_eq!((events.len(), events[0].verb.as_str(), events[0].app.as_ref()), (1, "update", None));
        assert!(events[0].at.ends_with('Z') && events[0].at.len() == 20, "{}", events[0].at);
    }
}
