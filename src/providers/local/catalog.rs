//! The images and sizes this machine offers: data.

use super::super::{Image, Size};

/// A release of a distribution a root file system is built from.
pub struct Release {
    /// The image's id, e.g. `debian-12`.
    pub id: &'static str,
    pub description: &'static str,
    /// The code name in the package archive.
    pub suite: &'static str,
    pub distribution: Distribution,
    /// Its systemd refuses cgroup v1: it must be given the unified hierarchy, also where this machine is on version 1.
    pub needs_unified_cgroups: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Distribution {
    Debian,
    Ubuntu,
}

impl Distribution {
    /// The package archive: what the environment says, or the distribution's own.
    pub fn mirror(self) -> String {
        let (variable, default) = match self {
            Distribution::Debian => ("CLOUDTOOL_LOCAL_MIRROR", "http://deb.debian.org/debian"),
            Distribution::Ubuntu => ("CLOUDTOOL_LOCAL_UBUNTU_MIRROR", "http://archive.ubuntu.com/ubuntu"),
        };
        let set = std::env::var(variable).ok().filter(|mirror| !mirror.is_empty());
        set.unwrap_or_else(|| default.into()).trim_end_matches('/').to_owned()
    }
}

/// The default comes first.
pub const RELEASES: &[Release] = &[
    Release {
        id: "debian-12",
        description: "Debian 12 (bookworm)",
        suite: "bookworm",
        distribution: Distribution::Debian,
        needs_unified_cgroups: false,
    },
    Release {
        id: "debian-13",
        description: "Debian 13 (trixie)",
        suite: "trixie",
        distribution: Distribution::Debian,
        needs_unified_cgroups: true,
    },
    Release {
        id: "ubuntu-22.04",
        description: "Ubuntu 22.04 LTS (jammy)",
        suite: "jammy",
        distribution: Distribution::Ubuntu,
        needs_unified_cgroups: false,
    },
    Release {
        id: "ubuntu-24.04",
        description: "Ubuntu 24.04 LTS (noble)",
        suite: "noble",
        distribution: Distribution::Ubuntu,
        needs_unified_cgroups: false,
    },
];

impl Release {
    pub fn by_id(id: &str) -> Option<&'static Release> {
        RELEASES.iter().find(|release| release.id == id)
    }

    /// The lines of the node's `sources.list`.
    pub fn sources(&self) -> Vec<String> {
        let (mirror, suite) = (self.distribution.mirror(), self.suite);
        match self.distribution {
            Distribution::Debian => {
                // A mirror of Debian has its security archive beside it, as deb.debian.org does.
                let security = match mirror.strip_suffix("/debian") {
                    Some(base) => format!("{base}/debian-security"),
                    None => "http://deb.debian.org/debian-security".into(),
                };
                vec![
                    format!("deb {mirror} {suite} main"),
                    format!("deb {mirror} {suite}-updates main"),
                    format!("deb {security} {suite}-security main"),
                ]
            }
            Distribution::Ubuntu => ["", "-updates", "-security"]
                .iter()
                .map(|pocket| format!("deb {mirror} {suite}{pocket} main universe"))
                .collect(),
        }
    }

    pub fn image(&self) -> Image {
        Image { id: self.id.into(), name: self.id.into(), description: self.description.into() }
    }
}

const SIZES: &[(&str, u64)] = &[("small", 1024), ("medium", 2048), ("large", 4096)];

/// A size is a limit of memory; processors and disk are all of this machine's. The default comes first.
pub fn sizes() -> Vec<Size> {
    SIZES
        .iter()
        .map(|&(id, memory_mb)| Size {
            id: id.into(),
            name: id.into(),
            memory_mb: Some(memory_mb),
            disk_gb: None,
            cpus: None,
            price: None,
        })
        .collect()
}

/// A size's limit of memory, in MB.
pub fn memory_mb(size: &str) -> Option<u64> {
    SIZES.iter().find(|(id, _)| *id == size).map(|(_, memory)| *memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_have_security_updates() {
        let lines = Release::by_id("debian-13").unwrap().sources();
        assert_eq!(lines.len(), 3);
        assert!(lines[2].ends_with("/debian-security trixie-security main"), "{lines:?}");
        let lines = Release::by_id("ubuntu-24.04").unwrap().sources();
        assert!(lines[2].ends_with(" noble-security main universe"), "{lines:?}");
    }

    #[test]
    fn sizes_are_limits_of_memory() {
        assert_eq!(memory_mb("small"), Some(1024));
        assert_eq!(memory_mb("huge"), None);
        assert_eq!(sizes()[0].id, "small");
    }
}
