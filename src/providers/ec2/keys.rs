//! The one public key that an instance of these clouds is ordered with. All others are told by cloud-init.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::query::{Call, Query, is_refused};
use super::xml::items;
use crate::providers::Result;
use crate::providers::json::text;
use crate::providers::keys::{Key, name_of};

/// What the first of the wanted keys that is of these kinds is called in the account; it is imported when it is missing. None when no
/// key is of a kind that the cloud takes.
pub fn name(query: &Query, wanted: &[String], kinds: &[&str]) -> Result<Option<String>> {
    let is_taken = |key: &Key| kinds.iter().any(|kind| key.line().starts_with(&format!("{kind} ")));
    let Some(key) = wanted.iter().filter_map(|line| Key::parse(line)).find(is_taken) else { return Ok(None) };
    let name = name_of(&key);
    let known = query.read(&Call::new("DescribeKeyPairs"))?;
    if !items(&known, "keySet").iter().any(|known| text(known, "keyName").as_deref() == Some(&name)) {
        let import =
            Call::new("ImportKeyPair").with("KeyName", &name).with("PublicKeyMaterial", STANDARD.encode(key.line()));
        match query.read(&import) {
            // Somebody else did it meanwhile, or we did and did not hear of it; the name is made of the key.
            Err(error) if is_refused(&error, "InvalidKeyPair.Duplicate") => {}
            imported => {
                imported?;
            }
        }
    }
    Ok(Some(name))
}
