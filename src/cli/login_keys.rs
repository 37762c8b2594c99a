//! The public keys that may log in to a new node.

use std::path::{Path, PathBuf};

use super::host_key::make_pair;
use crate::config::ProviderConfig;
use crate::error::{Failure, Kind};
use crate::inventory::Inventory;

/// Those of the configuration, else the user's own, else a pair made for cloudtool; and the private key that will open the node where it
/// is not one of the user's own.
pub(super) fn find(section: &ProviderConfig) -> Result<(Vec<String>, Option<PathBuf>), Failure> {
    if let Some(configured) = &section.root_authorized_keys {
        let text = if configured.trim_start().starts_with("ssh-") || configured.trim_start().starts_with("ecdsa-") {
            configured.clone()
        } else {
            read(Path::new(configured.trim()))?
        };
        return Ok((key_lines(&text), None));
    }
    let own = dirs::home_dir().map(|home| home.join(".ssh"));
    let mut keys = Vec::new();
    for name in ["id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"] {
        if let Some(file) = own.as_ref().map(|dir| dir.join(name)).filter(|file| file.is_file()) {
            keys.extend(key_lines(&read(&file)?));
        }
    }
    if !keys.is_empty() {
        return Ok((keys, None));
    }
    let private = Inventory::own_dir()?.join("id_ed25519");
    let public = private.with_extension("pub");
    if !private.is_file() {
        make_key(&private)?;
    }
    Ok((key_lines(&read(&public)?), Some(private)))
}

fn make_key(private: &Path) -> Result<(), Failure> {
    let fail = |reason: String| {
        Failure::new(Kind::Failed, format!("no key pair could be made at {}: {reason}", private.display()))
    };
    make_pair(private, "cloudtool", fail)
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file)
        .map_err(|error| Failure::new(Kind::Usage, format!("{} cannot be read: {error}", file.display())))
}

fn key_lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}
