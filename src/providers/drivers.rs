//! The drivers: one row each, with what it can do and how it is opened.

use super::error::{Error, Result};
use super::http::Manners;
use super::{
    Capabilities, Provider, Settings, digitalocean, ec2, eucalyptus, gce, hetzner, hosts, linode, local, openstack,
    rackspace, vultr,
};
use crate::inventory::NodeRecord;

/// What sections of the configuration may name as their `provider`.
pub struct Driver {
    /// The word.
    pub name: &'static str,
    pub capabilities: Capabilities,
    open: fn(&Opening<'_>) -> Result<Box<dyn Provider>>,
}

/// The default comes first.
pub const DRIVERS: &[Driver] = &[
    Driver { name: local::NAME, capabilities: local::CAPABILITIES, open: |_| Ok(Box::new(local::Local::new())) },
    Driver {
        name: hosts::NAME,
        capabilities: hosts::CAPABILITIES,
        open: |opening| Ok(Box::new(hosts::Hosts::new(opening.known.clone()))),
    },
    Driver {
        name: digitalocean::NAME,
        capabilities: digitalocean::CAPABILITIES,
        open: |opening| Ok(Box::new(digitalocean::DigitalOcean::new(&opening.settings, &opening.manners)?)),
    },
    Driver {
        name: ec2::NAME,
        capabilities: ec2::CAPABILITIES,
        open: |opening| Ok(Box::new(ec2::Ec2::new(&opening.settings, &opening.manners)?)),
    },
    Driver {
        name: eucalyptus::NAME,
        capabilities: eucalyptus::CAPABILITIES,
        open: |opening| Ok(Box::new(eucalyptus::open(&opening.settings, &opening.manners)?)),
    },
    Driver {
        name: gce::NAME,
        capabilities: gce::CAPABILITIES,
        open: |opening| Ok(Box::new(gce::Gce::new(&opening.settings, &opening.manners)?)),
    },
    Driver {
        name: hetzner::NAME,
        capabilities: hetzner::CAPABILITIES,
        open: |opening| Ok(Box::new(hetzner::Hetzner::new(&opening.settings, &opening.manners)?)),
    },
    Driver {
        name: linode::NAME,
        capabilities: linode::CAPABILITIES,
        open: |opening| Ok(Box::new(linode::Linode::new(&opening.settings, &opening.manners)?)),
    },
    Driver {
        name: openstack::NAME,
        capabilities: openstack::CAPABILITIES,
        open: |opening| Ok(Box::new(openstack::OpenStack::new(&opening.settings, &opening.manners)?)),
    },
    Driver {
        name: rackspace::NAME,
        capabilities: rackspace::CAPABILITIES,
        open: |opening| Ok(Box::new(rackspace::Rackspace::new(&opening.settings, &opening.manners)?)),
    },
    Driver {
        name: vultr::NAME,
        capabilities: vultr::CAPABILITIES,
        open: |opening| Ok(Box::new(vultr::Vultr::new(&opening.settings, &opening.manners)?)),
    },
];

/// The words for `provider = ` in the configuration.
pub fn driver_names() -> Vec<&'static str> {
    DRIVERS.iter().map(|driver| driver.name).collect()
}

/// What opening a provider needs.
pub struct Opening<'a> {
    /// The section of the configuration and what it refers to.
    pub settings: Settings<'a>,
    /// What the inventory has, for plain hosts, which are known from nowhere else.
    pub known: Vec<NodeRecord>,
    pub manners: Manners,
}

/// The provider of a section. Nothing is sent yet.
///
/// Errors: [`Error::NoSuchProvider`], [`Error::Credentials`].
pub fn open(opening: &Opening<'_>) -> Result<Box<dyn Provider>> {
    let name = opening.settings.section.provider.as_str();
    match DRIVERS.iter().find(|driver| driver.name == name) {
        Some(driver) => (driver.open)(opening),
        None => Err(Error::NoSuchProvider { name: name.to_owned() }),
    }
}

/// One thing a driver can do or not, as a column of a table.
pub struct Column {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ProviderConfig;
    use crate::names::Secret;

    #[test]
    fn every_name_opens_its_provider() {
        let open_section = |name: &str| {
            let section = ProviderConfig {
                name: name.into(),
                provider: name.into(),
                username: Some("u".into()),
                secret: Some(Secret::new("s")),
                region: Some("r".into()),
                endpoint: Some("http://127.0.0.1:9".into()),
                rest: [("project".to_owned(), "p".to_owned())].into(),
                ..ProviderConfig::default()
            };
            let settings = Settings { section: &section, ask: &|_| None };
            open(&Opening { settings, known: Vec::new(), manners: Manners::default() })
                .map(|opened| opened.name().to_owned())
        };
        // A driver that needs more says so.
        for Driver { name, .. } in DRIVERS {
            if let Err(Error::Credentials { .. }) = open_section(name) {
                continue;
            }
            assert_eq!(open_section(name).unwrap(), *name);
        }
        assert!(matches!(open_section("cloud9"), Err(Error::NoSuchProvider { .. })));
    }
}
