//! Which of a cloud's images comes first: the one to take when nothing is said.

use super::node::Image;

/// What `setup-node` supports, best first.
const SUPPORTED: [&str; 2] = ["24.04", "22.04"];

/// The images by name, but before all others the newest Ubuntu with long-term support that a node can be made of.
pub fn default_first(mut images: Vec<Image>) -> Vec<Image> {
    images.sort_by_cached_key(|image| (rank(image), image.name.clone()));
    images
}

/// Whether the first of these is there to be taken without being named.
pub fn has_default(images: &[Image]) -> bool {
    images.first().is_some_and(|image| rank(image) < SUPPORTED.len() * 2)
}

/// The lower, the better; plain ones before those with something in them (`minimal`, `pro`, arm).
fn rank(image: &Image) -> usize {
    let text = format!("{} {} {}", image.id, image.name, image.description).to_lowercase();
    let is_special =
        ["arm", "aarch64", "minimal", "pro", "gpu", "daily", "eks", "docker", "desktop", "fips", "accelerator"]
            .iter()
            .any(|word| text.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| part.starts_with(word)));
    let version = SUPPORTED.iter().position(|version| {
        text.contains(version)
            || text.contains(&version.replace('.', "-"))
            || text.contains(&version.replace('.', "_"))
            || text.contains(&format!("ubuntu{}", version.replace('.', "")))
            || text.contains(&format!("ubuntu-{}", version.replace('.', "")))
    });
    match version {
        Some(version) if text.contains("ubuntu") => version * 2 + usize::from(is_special),
        _ => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(names: &[&str]) -> (String, bool) {
        let images =
            names.iter().map(|name| Image { id: name.to_string(), name: name.to_string(), description: String::new() });
        let sorted = default_first(images.collect());
        (sorted[0].id.clone(), has_default(&sorted))
    }

    #[test]
    fn the_newest_supported_ubuntu_is_the_default() {
        for (names, expected) in [
            (&["debian-12", "ubuntu-22-04-x64", "ubuntu-24-04-x64", "ubuntu-25-10-x64"][..], "ubuntu-24-04-x64"),
            (&["linode/ubuntu22.04", "linode/debian12"], "linode/ubuntu22.04"),
            (
                &["ubuntu-2404-noble-arm64-v1", "ubuntu-2404-noble-amd64-v1", "ubuntu-minimal-2404-noble-amd64-v1"],
                "ubuntu-2404-noble-amd64-v1",
            ),
            (&["Ubuntu 24.04 LTS arm", "Ubuntu 22.04 LTS"], "Ubuntu 24.04 LTS arm"),
        ] {
            assert_eq!(first(names), (expected.to_owned(), true), "{names:?}");
        }
        assert_eq!(first(&["debian-13", "cirros", "ubuntu-25-10"]), ("cirros".into(), false));
    }
}
