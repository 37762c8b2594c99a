//! What each driver can do, side by side.

use super::{Capabilities, NAMES, digitalocean, hosts, local};

/// One thing a driver can do or not.
pub struct Column {
    /// `START`, in a table.
    pub title: &'static str,
    pub can: fn(&Capabilities) -> bool,
}

/// In the order in which they are shown.
pub const COLUMNS: &[Column] = &[
    Column { title: "CREATE", can: |all| all.create },
    Column { title: "DESTROY", can: |all| all.destroy },
    Column { title: "START", can: |all| all.start },
    Column { title: "STOP", can: |all| all.stop },
    Column { title: "REBOOT", can: |all| all.reboot },
    Column { title: "SUSPEND", can: |all| all.suspend },
    Column { title: "HOST KEY", can: |all| all.host_keys },
    Column { title: "USER-DATA", can: |all| all.user_data },
    Column { title: "PRICES", can: |all| all.prices },
];

/// Every driver with what it can do, in the order of [`NAMES`].
pub fn rows() -> impl Iterator<Item = (&'static str, Capabilities)> {
    NAMES.iter().filter_map(|name| Some((*name, capabilities(name)?)))
}

/// What a driver can do, without opening it.
fn capabilities(driver: &str) -> Option<Capabilities> {
    Some(match driver {
        local::NAME => local::CAPABILITIES,
        hosts::NAME => hosts::CAPABILITIES,
        digitalocean::NAME => digitalocean::CAPABILITIES,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_driver_is_in_it() {
        assert_eq!(rows().map(|(name, _)| name).collect::<Vec<_>>(), NAMES);
    }
}
