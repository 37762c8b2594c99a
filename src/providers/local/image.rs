//! Images: one tar file a release, built once with mmdebstrap from the distribution's own packages.

use std::fs;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::catalog::{Distribution, RELEASES, Release};
use super::error::LocalError;
use super::state::{self, StateDir};
use super::tools;
use crate::providers::{Image, Progress};

/// What a cloud's image has beside the essential packages.
const PACKAGES: &str = "apt,systemd,systemd-sysv,dbus,openssh-server,sudo,iproute2,ca-certificates,python3";

/// Certificate authorities the owner of this machine added. Behind a network that inspects TLS, nodes need them too.
const OWN_AUTHORITIES: &str = "/usr/local/share/ca-certificates";

/// The key Ubuntu's archive is signed with since 2018, fingerprint F6EC B376 2474 EDA9 D21B 7022 8719 20D1 991B C93C.
/// It comes with us because Debian 12 has no package of it.
const UBUNTU_KEY: &[u8] = include_bytes!("ubuntu-archive-keyring.gpg");

/// What can be built or is built: Debian always, Ubuntu when its image is there or its archive can be reached.
pub fn list(state: &StateDir) -> Vec<Image> {
    let mut ubuntu_reachable = None;
    RELEASES
        .iter()
        .filter(|release| {
            release.distribution == Distribution::Debian
                || state.images().join(file_name(release)).exists()
                || *ubuntu_reachable.get_or_insert_with(|| reachable(&Distribution::Ubuntu.mirror()))
        })
        .map(Release::image)
        .collect()
}

/// The release's tar, built when it is missing. When several want the same, one builds and the others wait.
pub fn ensure(state: &StateDir, release: &Release, progress: &dyn Progress) -> Result<PathBuf, LocalError> {
    let file = state.images().join(file_name(release));
    if file.exists() {
        return Ok(file);
    }
    progress.step(&format!("building the image {}, once (half a minute)", release.id));
    let _lock = state::lock_file(&state.images().join(format!("{}.lock", release.id)))?;
    if file.exists() {
        return Ok(file);
    }
    let start = Instant::now();
    let new = state.images().join(format!("{}.new.tar", release.id));
    if let Err(error) = build(release, &new) {
        // What the failed build left is of no use; the error that matters is the build's.
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    remove_older(state, release).map_err(LocalError::io("cannot take an older image away"))?;
    fs::rename(&new, &file).map_err(LocalError::io(format!("cannot write {}", file.display())))?;
    progress.step(&format!("built the image {} in {:.0} s", release.id, start.elapsed().as_secs_f64()));
    Ok(file)
}

fn build(release: &Release, file: &Path) -> Result<(), LocalError> {
    let mut mmdebstrap = tools::helper("mmdebstrap");
    mmdebstrap.args(["--quiet", "--variant=minbase", "--format=tar"]);
    mmdebstrap.arg(format!("--include={PACKAGES}"));
    if release.distribution == Distribution::Ubuntu {
        let keyring = file.with_file_name("ubuntu-archive-keyring.gpg");
        fs::write(&keyring, UBUNTU_KEY).map_err(LocalError::io(format!("cannot write {}", keyring.display())))?;
        mmdebstrap.arg(format!("--keyring={}", keyring.display()));
    }
    if !own_authorities().is_empty() {
        // Constant texts: mmdebstrap's hooks are shell.
        mmdebstrap.arg(format!("--customize-hook=copy-in {OWN_AUTHORITIES} /usr/local/share"));
        mmdebstrap.arg(r#"--customize-hook=chroot "$1" update-ca-certificates"#);
    }
    mmdebstrap.arg(release.suite).arg(file).args(release.sources());
    tools::run(&mut mmdebstrap)?;
    Ok(())
}

/// The id and a hash of what the image was built from: other mirrors or authorities make another image.
fn file_name(release: &Release) -> String {
    let mut hash = Sha256::new();
    hash.update(PACKAGES);
    for line in release.sources() {
        hash.update(line);
    }
    for (name, content) in own_authorities() {
        hash.update(name.as_os_str().as_encoded_bytes());
        hash.update(content);
    }
    format!("{}-{}.tar", release.id, &hex::encode(hash.finalize())[..12])
}

fn own_authorities() -> Vec<(PathBuf, Vec<u8>)> {
    let mut found: Vec<_> = walkdir::WalkDir::new(OWN_AUTHORITIES)
        .into_iter()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "crt"))
        .filter_map(|entry| fs::read(entry.path()).ok().map(|content| (entry.into_path(), content)))
        .collect();
    found.sort();
    found
}

fn remove_older(state: &StateDir, release: &Release) -> io::Result<()> {
    let prefix = format!("{}-", release.id);
    for entry in fs::read_dir(state.images())?.flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(&prefix) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// True when the host of an http(s) address accepts a connection within two seconds.
fn reachable(address: &str) -> bool {
    let (port, rest) = match (address.strip_prefix("http://"), address.strip_prefix("https://")) {
        (Some(rest), _) => (80, rest),
        (_, Some(rest)) => (443, rest),
        // A directory or something else only apt knows.
        _ => return true,
    };
    let host = rest.split('/').next().unwrap_or_default();
    let host = if host.contains(':') { host.to_owned() } else { format!("{host}:{port}") };
    let Ok(addresses) = host.to_socket_addrs() else { return false };
    addresses.into_iter().any(|address| TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_that_does_not_answer_is_noticed() {
        assert!(!reachable("http://127.0.0.1:1/ubuntu"));
        assert!(reachable("file:///srv/mirror"));
    }

    #[test]
    fn the_file_says_which_release_it_is() {
        let name = file_name(&RELEASES[0]);
        assert!(name.starts_with("debian-12-") && name.ends_with(".tar"), "{name}");
        assert_ne!(file_name(&RELEASES[1])[10..], name[10..]);
    }
}
