//! A new node's host key: made here, so that it is known before the first connection, and replaced on the node after that.

use std::ops::ControlFlow;
use std::process::Command;

use crate::error::{Failure, Kind};
use crate::inventory::KnownHosts;
use crate::names::Secret;
use crate::node::{Output, Session};
use crate::providers::HostKeyPair;

/// Makes an ed25519 pair. The private key is in a file of a directory of ours alone for a moment, and nowhere afterwards.
///
/// Errors: without ssh-keygen, or without a place for temporary files.
pub(super) fn make() -> Result<HostKeyPair, Failure> {
    let fail = |reason: String| Failure::new(Kind::Failed, format!("no host key could be made: {reason}"));
    // Its mode is 0700.
    let dir = tempfile::tempdir().map_err(|error| fail(error.to_string()))?;
    let file = dir.path().join("key");
    make_pair(&file, "", fail)?;
    let read = |path| std::fs::read_to_string(path).map_err(|error| fail(error.to_string()));
    let private = Secret::new(read(file.clone())?);
    let public = read(file.with_extension("pub"))?.trim().to_owned();
    Ok(HostKeyPair { public, private })
}

/// Has ssh-keygen make an ed25519 pair without a passphrase: `private`, and beside it `private.pub`.
pub(super) fn make_pair(
    private: &std::path::Path,
    comment: &str,
    fail: impl Fn(String) -> Failure,
) -> Result<(), Failure> {
    let output = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"])
        .arg(private)
        .output()
        .map_err(|error| {
            fail(format!("ssh-keygen: {error}")).hint("install openssh-client, or make a key of your own: ssh-keygen")
        })?;
    if output.status.success() { Ok(()) } else { Err(fail(String::from_utf8_lossy(&output.stderr).trim().to_owned())) }
}

/// Makes the next key beside the one in use and prints it.
const MAKE: &[u8] = b"set -eu
umask 077
cd /etc/ssh
rm -f cloudtool_next_key cloudtool_next_key.pub
ssh-keygen -q -t ed25519 -N '' -C '' -f cloudtool_next_key </dev/null
chmod 644 cloudtool_next_key.pub
cat cloudtool_next_key.pub
";

/// Puts it in the place of the one in use. The server reads it anew; connections stay.
const USE: &[u8] = b"set -eu
cd /etc/ssh
mv cloudtool_next_key ssh_host_ed25519_key
mv cloudtool_next_key.pub ssh_host_ed25519_key.pub
systemctl reload ssh.service 2>/dev/null || systemctl reload sshd.service 2>/dev/null || kill -HUP \"$(cat /run/sshd.pid)\"
";

/// Replaces the node's ed25519 host key by one made there, which nobody else has seen, and pins that. Its public half, as an OpenSSH line.
///
/// Both keys are pinned while it is replaced: however far it comes, the node is known afterwards.
pub(super) fn replace(session: &mut Session) -> Result<String, Failure> {
    let (host, port) = (session.destination().host.clone(), session.destination().port);
    let told = run(session, MAKE)?;
    let mut words = told.split_whitespace();
    let key = match (words.next(), words.next()) {
        (Some("ssh-ed25519"), Some(blob)) => format!("ssh-ed25519 {blob}"),
        _ => return Err(Failure::new(Kind::Failed, "ssh-keygen on the node printed no key")),
    };
    let known_hosts = KnownHosts::open()?;
    let mut both = known_hosts.keys(&host, port)?;
    both.push(key.clone());
    known_hosts.pin(&host, port, &both)?;
    run(session, USE)?;
    known_hosts.pin(&host, port, &[&key])?;
    Ok(key)
}

/// Runs a script as root.
fn run(session: &mut Session, script: &[u8]) -> Result<String, Failure> {
    let shell = if session.destination().user == "root" { "sh" } else { "sudo -n sh" };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let status = session.run(shell, script, &mut |output, piece| {
        match output {
            Output::Stdout => stdout.extend_from_slice(piece),
            Output::Stderr => stderr.extend_from_slice(piece),
        }
        ControlFlow::Continue(())
    })?;
    if status != Some(0) {
        let words = String::from_utf8_lossy(&stderr);
        let last = words.trim().lines().last().unwrap_or("no reason given").to_owned();
        return Err(Failure::new(Kind::Failed, last));
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_a_public_line_and_a_private_key() {
        let pair = make().unwrap();
        assert!(pair.public.starts_with("ssh-ed25519 AAAA") && !pair.public.contains('\n'));
        assert!(pair.private.expose().starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"));
        assert_ne!(make().unwrap().public, pair.public);
    }
}
