//! The images and sizes there are, as the API lists them. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::xml::items;
use crate::providers::images::default_first;
use crate::providers::json::{number, text};
use crate::providers::{Image, Price, Size};

/// Whose images are offered beside the account's own: Canonical, Debian.
pub const PUBLISHERS: [&str; 2] = ["099720109477", "136693071363"];
/// What those images are called that are plain servers.
pub const NAMES: [&str; 2] = ["ubuntu/images/hvm-ssd*/ubuntu-*-server-*", "debian-*"];

/// A node's own needs: less memory than this is not taken without being asked for.
const ENOUGH_MB: u64 = 1024;

/// The publishers' images, of each release and architecture only the newest.
pub fn newest(images: &[Value]) -> Vec<Image> {
    let mut newest: BTreeMap<String, (String, Image)> = BTreeMap::new();
    for image in images {
        let (Some(id), Some(title)) = (text(image, "imageId"), text(image, "name")) else { continue };
        let Some(name) = release(&title) else { continue };
        let made = text(image, "creationDate").unwrap_or_default();
        if newest.get(&name).is_none_or(|(known, other)| (known, &other.id) < (&made, &id)) {
            newest.insert(name.clone(), (made, Image { id, name, description: title }));
        }
    }
    newest.into_values().map(|(_, image)| image).collect()
}

/// `ubuntu-24.04`, `ubuntu-24.04-arm64`, `debian-12`: what a publisher's image has in it. None for what is no plain server.
fn release(title: &str) -> Option<String> {
    let words: Vec<&str> = title.rsplit('/').next()?.split('-').collect();
    let (name, architecture) = match words[..] {
        // ubuntu-noble-24.04-amd64-server-20250610
        ["ubuntu", _, version, architecture, "server", ..] => (format!("ubuntu-{version}"), architecture),
        // debian-12-amd64-20250610-2139
        ["debian", version, architecture, date, ..] if date.starts_with("20") => {
            (format!("debian-{version}"), architecture)
        }
        _ => return None,
    };
    Some(if architecture == "amd64" { name } else { format!("{name}-{architecture}") })
}

/// All images as they are: those of the account, or of a cloud of one's own.
pub fn plain(images: &[Value]) -> Vec<Image> {
    let is_machine = |image: &&Value| text(image, "imageType").is_none_or(|kind| kind == "machine");
    let image = |image: &Value| {
        let id = text(image, "imageId")?;
        let name = text(image, "name").or_else(|| text(image, "imageLocation")).unwrap_or_else(|| id.clone());
        Some(Image { id, name, description: text(image, "description").unwrap_or_default() })
    };
    images.iter().filter(is_machine).filter_map(image).collect()
}

/// All of them once, the one to take first.
pub fn images(mut all: Vec<Image>) -> Vec<Image> {
    let mut seen = std::collections::HashSet::new();
    all.retain(|image| seen.insert(image.id.clone()));
    default_first(all)
}

/// Whether an image is for ARM: those listed here say so in their name.
pub fn is_arm_image(name: &str) -> bool {
    name.ends_with("-arm64")
}

/// Whether a size has an ARM processor. Amazon's own (Graviton) have a `g` behind the generation (`t4g.nano`, `c7gn.large`); `a1` is the
/// first generation of them.
pub fn is_arm_size(id: &str) -> bool {
    let family = id.split('.').next().unwrap_or_default();
    let behind =
        family.trim_start_matches(|c: char| c.is_ascii_lowercase()).trim_start_matches(|c: char| c.is_ascii_digit());
    family == "a1" || behind.starts_with('g')
}

/// Sizes, cheapest first; but before all others the one to take when nothing is said.
pub fn sizes(types: &[Value], price: impl Fn(&str) -> Option<Price>) -> Vec<Size> {
    let of_intel = |kind: &Value| {
        let architectures = items(&kind["processorInfo"], "supportedArchitectures");
        architectures.is_empty() || architectures.iter().any(|one| one == "x86_64")
    };
    let intel: Vec<String> = types.iter().filter(|kind| of_intel(kind)).filter_map(id_of_size).collect();
    let sizes = types.iter().filter_map(|kind| {
        let id = id_of_size(kind)?;
        Some(Size {
            name: id.clone(),
            // Amazon's own form, and Eucalyptus's.
            memory_mb: whole(&kind["memoryInfo"]["sizeInMiB"]).or_else(|| whole(&kind["memory"])),
            disk_gb: whole(&kind["instanceStorageInfo"]["totalSizeInGB"]).or_else(|| whole(&kind["disk"])),
            cpus: number(&kind["vCpuInfo"]["defaultVCpus"]).or_else(|| number(&kind["cpu"])),
            price: price(&id),
            id,
        })
    });
    let mut sizes = crate::providers::sizes::cheapest_first(sizes.collect());
    let suits = |size: &Size| size.memory_mb >= Some(ENOUGH_MB) && intel.contains(&size.id);
    if let Some(at) = sizes.iter().position(suits) {
        let default = sizes.remove(at);
        sizes.insert(0, default);
    }
    sizes
}

fn id_of_size(kind: &Value) -> Option<String> {
    text(kind, "instanceType").or_else(|| text(kind, "name"))
}

fn whole(value: &Value) -> Option<u64> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_each_release_the_newest_is_offered() {
        let image = |id: &str, name: &str, made: &str| json!({"imageId": id, "name": name, "creationDate": made});
        let images = newest(&[
            image(
                "ami-1",
                "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20250305",
                "2025-03-05T00:00:00.000Z",
            ),
            image(
                "ami-2",
                "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20250610",
                "2025-06-10T00:00:00.000Z",
            ),
            image(
                "ami-3",
                "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-20250610",
                "2025-06-10T00:00:00.000Z",
            ),
            image("ami-4", "debian-12-amd64-20250428-2096", "2025-04-28T00:00:00.000Z"),
            image("ami-5", "debian-12-backports-amd64-20250428-2096", "2025-04-28T00:00:00.000Z"),
            image("ami-6", "ubuntu/images/hvm-ssd/ubuntu-eks/k8s_1.30", "2025-04-28T00:00:00.000Z"),
        ]);
        let shown: Vec<_> = images.iter().map(|image| (image.name.as_str(), image.id.as_str())).collect();
        assert_eq!(shown, [("debian-12", "ami-4"), ("ubuntu-24.04", "ami-2"), ("ubuntu-24.04-arm64", "ami-3")]);
        assert_eq!(super::images(images)[0].id, "ami-2");
    }

    #[test]
    fn only_machines_are_images() {
        let listed = [
            json!({"imageId": "emi-1", "imageLocation": "bucket/x", "imageType": "machine"}),
            json!({"imageId": "eki-1", "imageType": "kernel"}),
        ];
        let images = plain(&listed);
        assert_eq!((images.len(), images[0].name.as_str()), (1, "bucket/x"));
        assert_eq!(super::images([images.clone(), images].concat()).len(), 1);
    }

    #[test]
    fn the_default_size_runs_the_default_image() {
        let size = |id: &str, memory: &str, architecture: &str| {
            json!({"instanceType": id, "memoryInfo": {"sizeInMiB": memory}, "vCpuInfo": {"defaultVCpus": "2"},
                "processorInfo": {"supportedArchitectures": [architecture]}})
        };
        let price = |id: &str| {
            let hourly = match id {
                "t4g.micro" => 0.008,
                "t3.nano" => 0.005,
                _ => 0.01,
            };
            Some(Price { monthly: None, hourly: Some(hourly), currency: "USD".into() })
        };
        let types =
            [size("t4g.micro", "1024", "arm64"), size("t3.micro", "1024", "x86_64"), size("t3.nano", "512", "x86_64")];
        let sizes = sizes(&types, price);
        assert_eq!(sizes.iter().map(|size| size.id.as_str()).collect::<Vec<_>>(), ["t3.micro", "t3.nano", "t4g.micro"]);
        assert_eq!((sizes[0].memory_mb, sizes[0].cpus), (Some(1024), Some(2.0)));
    }

    #[test]
    fn eucalyptus_has_a_form_of_its_own() {
        let types = [json!({"name": "m1.small", "cpu": "1", "disk": "5", "memory": "256"})];
        let sizes = sizes(&types, |_| None);
        assert_eq!((sizes[0].id.as_str(), sizes[0].memory_mb, sizes[0].disk_gb), ("m1.small", Some(256), Some(5)));
    }

    #[test]
    fn processors_are_told_apart() {
        for arm in ["t4g.nano", "c7gn.large", "m6gd.metal", "a1.medium", "im4gn.large", "x2gd.large", "hpc7g.4xlarge"] {
            assert!(is_arm_size(arm), "{arm}");
        }
        for other in [
            "t3.nano",
            "g4dn.xlarge",
            "g5.xlarge",
            "m5a.large",
            "c6i.large",
            "p4d.24xlarge",
            "u-6tb1.metal",
            "mac2.metal",
        ] {
            assert!(!is_arm_size(other), "{other}");
        }
        assert!(is_arm_image("ubuntu-24.04-arm64") && !is_arm_image("ubuntu-24.04"));
    }
}
