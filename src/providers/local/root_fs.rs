//! A node's root file system: the image unpacked, and what makes it this node: name, keys, address.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use super::error::LocalError;
use super::network;
use super::state::Record;
use super::tools;
use crate::names::Secret;
use crate::providers::{CreateRequest, HostKeyPair};

/// Fills `root` (which must not exist) from the image `tar`.
pub fn unpack(tar: &Path, root: &Path) -> Result<(), LocalError> {
    fs::create_dir(root).map_err(LocalError::io(format!("cannot make {}", root.display())))?;
    let mut program = tools::helper("tar");
    program.args(["--extract", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--directory"]).arg(root);
    tools::run(program.arg("--file").arg(tar))?;
    Ok(())
}

/// Makes the unpacked image this node.
pub fn personalise(
    root: &Path,
    record: &Record,
    request: &CreateRequest,
    host_key: &HostKeyPair,
) -> Result<(), LocalError> {
    let name = &record.name;
    let short = name.split('.').next().unwrap_or(name);
    let write = || -> io::Result<()> {
        replace(root, "etc/hostname", 0o644, &format!("{name}\n"))?;
        replace(root, "etc/hosts", 0o644, &format!("127.0.0.1 localhost\n127.0.1.1 {name} {short}\n::1 localhost\n"))?;
        replace(root, "etc/resolv.conf", 0o644, &resolvers()?)?;
        // Waiting for the disk after each file takes half the time of an installation. What a crash of this machine leaves of a node is made anew.
        replace(root, "etc/dpkg/dpkg.cfg.d/unsafe-io", 0o644, "force-unsafe-io\n")?;
        // Without an id the first boot would be systemd's "first boot", which asks and presets.
        let id = fs::read_to_string("/proc/sys/kernel/random/uuid")?.replace('-', "");
        replace(root, "etc/machine-id", 0o444, &id)?;

        replace(root, "etc/systemd/network/10-host0.network", 0o644, &network_file(record))?;
        let wants = root.join("etc/systemd/system/multi-user.target.wants");
        fs::create_dir_all(&wants)?;
        link("/lib/systemd/system/systemd-networkd.service", &wants.join("systemd-networkd.service"))?;

        DirBuilder::new().recursive(true).mode(0o700).create(root.join("root/.ssh"))?;
        let keys: String = request.authorized_keys.iter().map(|key| format!("{}\n", key.trim())).collect();
        replace(root, "root/.ssh/authorized_keys", 0o600, &keys)?;

        for entry in fs::read_dir(root.join("etc/ssh"))?.flatten() {
            if entry.file_name().to_string_lossy().starts_with("ssh_host_") {
                fs::remove_file(entry.path())?;
            }
        }
        replace(root, "etc/ssh/ssh_host_ed25519_key", 0o600, host_key.private.expose())?;
        replace(root, "etc/ssh/ssh_host_ed25519_key.pub", 0o644, &format!("{} root@{name}\n", host_key.public))
    };
    write().map_err(LocalError::io(format!("cannot prepare {}", root.display())))
}

/// A new ed25519 host key, made by ssh-keygen in the node's directory and taken away from there again.
pub fn make_host_key(dir: &Path) -> Result<HostKeyPair, LocalError> {
    let file = dir.join("host_key");
    let public_file = dir.join("host_key.pub");
    tools::run(tools::program("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(&file))?;
    let take = |path: &Path| -> io::Result<String> {
        let text = fs::read_to_string(path)?;
        fs::remove_file(path)?;
        Ok(text)
    };
    let failed = || LocalError::io(format!("cannot read {}", file.display()));
    let private = Secret::new(take(&file).map_err(failed())?);
    let public = take(&public_file).map_err(failed())?.trim().to_owned();
    Ok(HostKeyPair { public, private })
}

/// The public ed25519 host key in `root`, `None` when there is none that can be read.
///
/// Whoever is root on the node decides what is in there: a link is followed only within `root`, and only a file is read.
pub fn host_key(root: &Path) -> Option<String> {
    let dir = File::open(root).ok()?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let path = "etc/ssh/ssh_host_ed25519_key.pub";
    let file = openat2(&dir, path, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS).ok()?;
    let file = File::from(file);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    file.take(1024).read_to_string(&mut text).ok()?;
    let mut words = text.split_ascii_whitespace();
    match (words.next(), words.next()) {
        (Some("ssh-ed25519"), Some(blob)) => Some(format!("ssh-ed25519 {blob}")),
        _ => None,
    }
}

fn network_file(record: &Record) -> String {
    format!(
        "# Written by cloudtool's local provider.\n[Match]\nName=host0\n\n[Network]\nAddress={}/24\nGateway={}\nLinkLocalAddressing=no\n",
        record.address,
        network::gateway(record.network),
    )
}

/// This machine's DNS servers. systemd-resolved's own address works only here, so its real servers are taken.
fn resolvers() -> io::Result<String> {
    let text = fs::read_to_string("/etc/resolv.conf")?;
    if text.lines().any(|line| line.starts_with("nameserver 127.")) {
        return fs::read_to_string("/run/systemd/resolve/resolv.conf").or(Ok(text));
    }
    Ok(text)
}

/// Writes a file anew. Whatever was there, also a link, is taken away first: an image's link never leads out of `root`.
fn replace(root: &Path, path: &str, mode: u32, content: &str) -> io::Result<()> {
    let path = root.join(path);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
    file.write_all(content.as_bytes())
}

fn link(target: &str, path: &Path) -> io::Result<()> {
    match symlink(target, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_key_is_read_within_the_root_only() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        let file = root.join("etc/ssh/ssh_host_ed25519_key.pub");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        assert_eq!(host_key(&root), None);
        fs::write(&file, "ssh-ed25519 AAAA root@x\n").unwrap();
        assert_eq!(host_key(&root).as_deref(), Some("ssh-ed25519 AAAA"));
        fs::write(&file, "root:x:0:0\n").unwrap();
        assert_eq!(host_key(&root), None);
        // A link to this machine's own files leads to the node's, and there is nothing.
        let outside = dir.path().join("outside.pub");
        fs::write(&outside, "ssh-ed25519 OUTSIDE").unwrap();
        fs::remove_file(&file).unwrap();
        symlink(&outside, &file).unwrap();
        assert_eq!(host_key(&root), None);
        fs::remove_file(&file).unwrap();
        tools::run(tools::program("mkfifo").arg(&file)).unwrap();
        assert_eq!(host_key(&root), None);
    }
}
