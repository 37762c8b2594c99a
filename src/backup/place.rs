//! What a user calls a backup: `[DESTINATION/]APP[/ID]`.

use std::str::FromStr;

use super::Archive;
use crate::error::{Explain, Kind};
use crate::names::{AppName, BadName};

/// One backup of an app, or its newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// A name, a URL or a directory; nothing: where backups go when nobody says where.
    pub destination: Option<String>,
    /// Nothing: the one of the archive that `destination` is.
    pub app: Option<AppName>,
    /// Nothing: the newest.
    pub id: Option<BackupId>,
}

/// When a backup was taken, which is what it is called: `20260101T101500Z`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupId(String);

impl BackupId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BackupId {
    type Err = BadPlace;

    fn from_str(text: &str) -> Result<Self, BadPlace> {
        let form = b"00000000T000000Z";
        let fits = text.len() == form.len()
            && text
                .bytes()
                .zip(form)
                .all(|(byte, form)| if *form == b'0' { byte.is_ascii_digit() } else { byte == *form });
        if fits { Ok(BackupId(text.to_owned())) } else { Err(BadPlace::Id { text: text.to_owned() }) }
    }
}

/// A text that is not where a backup is.
#[derive(Debug, thiserror::Error)]
pub enum BadPlace {
    #[error("{text:?} is not the name of a backup: they are called like 20260101T101500Z")]
    Id { text: String },
    #[error(transparent)]
    App(#[from] BadName),
}

impl Explain for BadPlace {
    fn kind(&self) -> Kind {
        Kind::Usage
    }

    fn hint(&self) -> Option<String> {
        Some("write APP for its newest backup, APP/ID for another, the name of a .tar file for what is in it, and a destination's name, URL or directory before it, with a slash, when it is not where backups usually go; cloudtool list-backups shows them".to_owned())
    }
}

impl FromStr for Place {
    type Err = BadPlace;

    fn from_str(text: &str) -> Result<Self, BadPlace> {
        if Archive::is_meant(text) {
            return Ok(Place { destination: Some(text.to_owned()), app: None, id: None });
        }
        let bare = text.trim_end_matches('/');
        let (before, last) = split(bare);
        let id: Option<BackupId> = last.strip_suffix(".json").unwrap_or(last).parse().ok();
        let (destination, app) = if id.is_some() { before.map(split).unwrap_or((None, "")) } else { (before, last) };
        let destination = destination.map(|dir| (if dir.is_empty() { "/" } else { dir }).to_owned());
        Ok(Place { destination, app: Some(app.parse()?), id })
    }
}

/// What is before the last slash, if there is one, and what is behind it.
fn split(text: &str) -> (Option<&str>, &str) {
    text.rsplit_once('/').map_or((None, text), |(before, last)| (Some(before), last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Option<(Option<String>, String, Option<String>)> {
        let place: Place = text.parse().ok()?;
        Some((
            place.destination,
            place.app.map(|app| app.to_string()).unwrap_or_default(),
            place.id.map(|id| id.as_str().to_owned()),
        ))
    }

    #[test]
    fn a_backup_is_found_by_what_it_is_called() {
        let id = "20260101T101500Z";
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(place("shop"), Some((None, "shop".into(), None)));
        assert_eq!(place(&format!("shop/{id}")), Some((None, "shop".into(), some(id))));
        assert_eq!(place(&format!("/mnt/b/shop/{id}.json")), Some((some("/mnt/b"), "shop".into(), some(id))));
        assert_eq!(place("s3://b/c/shop"), Some((some("s3://b/c"), "shop".into(), None)));
        assert_eq!(place(&format!("offsite/shop/{id}")), Some((some("offsite"), "shop".into(), some(id))));
        assert_eq!(place("/mnt/shop.tar"), Some((some("/mnt/shop.tar"), "".into(), None)));
        assert_eq!(place("./shop/"), Some((some("."), "shop".into(), None)));
        assert_eq!(place("/shop"), Some((some("/"), "shop".into(), None)));
        for bad in ["", "/", id, "Shop", "shop/2026", "../.."] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }
}
