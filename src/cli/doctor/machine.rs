//! This machine: what it takes to get to nodes from here.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::finding::{Check, Finding, Subject};
use crate::cli::context::Context;
use crate::error::Failure;
use crate::inventory::{Inventory, KnownHosts, NodeRecord};
use crate::providers::local::{self, Local};

/// What a check says: what was seen, and what is wrong with it.
type Said = (Option<String>, Vec<Finding>);

type Look = fn(&Context) -> Result<Said, Failure>;

/// All checks, in the order in which they are told.
const CHECKS: [(&str, Look); 8] = [
    ("configuration", configuration),
    ("own files", own_files),
    ("known hosts", known_hosts),
    ("keys", keys),
    ("agent", agent),
    ("programs", programs),
    ("clock", clock),
    ("local nodes", local_nodes),
];

pub(in crate::cli) fn examine(context: &Context) -> Subject {
    let one = |(name, look): &(&str, Look)| {
        // What keeps us from looking is a finding itself.
        let (text, findings) = look(context).unwrap_or_else(|failure| (None, vec![Finding::of(failure)]));
        Check::new(name, text, findings)
    };
    Subject::machine(CHECKS.iter().map(one).collect())
}

fn configuration(context: &Context) -> Result<Said, Failure> {
    context.config()?;
    let file = context.config_file()?;
    let text = if file.exists() { file.display().to_string() } else { "none, the defaults hold".to_owned() };
    Ok((Some(text), Vec::new()))
}

fn own_files(context: &Context) -> Result<Said, Failure> {
    context.inventory()?;
    let dir = Inventory::default_dir()?;
    let open = exposed(&dir, 0o077).map(|mode| {
        Finding::new(format!("Others may look into {} (mode {mode:o}).", dir.display()), chmod(&dir, "700"))
    });
    Ok((Some(dir.display().to_string()), open.into_iter().collect()))
}

fn known_hosts(_context: &Context) -> Result<Said, Failure> {
    let path = KnownHosts::open()?.path().to_owned();
    let text = fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let strange = strange_lines(&text);
    let hosts = text.lines().count() - strange.len();
    let mut findings: Vec<Finding> = strange
        .into_iter()
        .map(|number| {
            Finding::new(
                format!("Line {number} of {} is no host key.", path.display()),
                format!("take it away: sed -i {number}d {}", path.display()),
            )
        })
        .collect();
    if let Some(mode) = exposed(&path, 0o022) {
        let message = format!("Others may say which host keys are right: {} has the mode {mode:o}.", path.display());
        findings.push(Finding::new(message, chmod(&path, "600")));
    }
    Ok((Some(format!("{hosts} lines in {}", path.display())), findings))
}

/// The numbers of the lines that are neither an entry nor a comment.
fn strange_lines(text: &str) -> Vec<usize> {
    let is_entry = |line: &str| line.trim().is_empty() || line.starts_with('#') || line.split_whitespace().count() >= 3;
    text.lines().enumerate().filter(|(_, line)| !is_entry(line)).map(|(number, _)| number + 1).collect()
}

fn keys(context: &Context) -> Result<Said, Failure> {
    let nodes = context.inventory()?.nodes()?;
    let files = key_files(&nodes)?;
    let mut findings: Vec<Finding> = files
        .iter()
        .filter_map(|file| Some((file, exposed(file, 0o077)?)))
        .map(|(file, mode)| {
            let message =
                format!("Others may read the private key {} (mode {mode:o}), so ssh refuses it.", file.display());
            Finding::new(message, chmod(file, "600"))
        })
        .collect();
    let open = files.iter().filter(|file| !is_encrypted(file)).count();
    let in_agent = ask_agent() == Agent::Has(true);
    if open == 0 && !in_agent && !nodes.is_empty() {
        findings.push(match files.first() {
            Some(file) => Finding::new(
                "Every private key of this machine is encrypted, and no agent has one.",
                format!("ssh-add {}", file.display()),
            ),
            None => Finding::new(
                "This machine has no private key to log in to nodes with.",
                "ssh-keygen -t ed25519, and add ~/.ssh/id_ed25519.pub to the nodes' authorized_keys",
            ),
        });
    }
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let text = if names.is_empty() { "no files; create-node makes one".to_owned() } else { names.join(", ") };
    Ok((Some(text), findings))
}

/// The private keys that we would offer, each once.
fn key_files(nodes: &[NodeRecord]) -> Result<Vec<PathBuf>, Failure> {
    let ssh = dirs::home_dir().map(|home| home.join(".ssh"));
    let own = ["id_ed25519", "id_ecdsa", "id_rsa"].into_iter().filter_map(|name| Some(ssh.as_ref()?.join(name)));
    let named = nodes.iter().filter_map(|node| node.identity.clone());
    let made = Inventory::default_dir()?.join("id_ed25519");
    let mut found: Vec<PathBuf> = Vec::new();
    for file in own.chain([made]).chain(named) {
        if file.is_file() && !found.contains(&file) {
            found.push(file);
        }
    }
    Ok(found)
}

/// Whether a key needs a passphrase. Without ssh-keygen nobody knows.
fn is_encrypted(file: &Path) -> bool {
    succeeds(Command::new("ssh-keygen").args(["-y", "-P", "", "-f"]).arg(file)) == Some(false)
}

#[derive(Debug, PartialEq, Eq)]
enum Agent {
    None,
    Silent,
    /// Whether it has keys.
    Has(bool),
}

fn ask_agent() -> Agent {
    if std::env::var_os("SSH_AUTH_SOCK").is_none_or(|socket| socket.is_empty()) {
        return Agent::None;
    }
    let asked = Command::new("ssh-add").arg("-l").stdin(Stdio::null()).output();
    match asked.ok().and_then(|output| output.status.code()) {
        Some(0) => Agent::Has(true),
        Some(1) => Agent::Has(false),
        Some(_) => Agent::Silent,
        None => Agent::None,
    }
}

fn agent(_context: &Context) -> Result<Said, Failure> {
    Ok(match ask_agent() {
        Agent::None => (Some("none".to_owned()), Vec::new()),
        Agent::Has(keys) => (Some(if keys { "has keys" } else { "has no keys" }.to_owned()), Vec::new()),
        Agent::Silent => {
            let message = "SSH_AUTH_SOCK names an ssh-agent that does not answer.";
            (None, vec![Finding::new(message, "eval $(ssh-agent) && ssh-add, or unset SSH_AUTH_SOCK")])
        }
    })
}

fn programs(_context: &Context) -> Result<Said, Failure> {
    let missing = |name: &&str| succeeds(Command::new(name).arg("-?")).is_none();
    let lacking: Vec<&str> = ["ssh", "ssh-keygen"].into_iter().filter(missing).collect();
    let finding = |name: &&str| {
        let message =
            format!("There is no {name} on this machine: ~/.ssh/config means nothing, and no keys can be made.");
        Finding::new(message, "install openssh-client")
    };
    Ok((Some("ssh, ssh-keygen".to_owned()), lacking.iter().map(finding).collect()))
}

fn clock(_context: &Context) -> Result<Said, Failure> {
    let asked = Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]).output();
    let said = asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let finding = (said == "no")
        .then(|| Finding::new("The clock of this machine is set by no time server.", "timedatectl set-ntp true"));
    Ok(((!said.is_empty()).then(|| format!("set by time servers: {said}")), finding.into_iter().collect()))
}

/// Only where there are some.
fn local_nodes(context: &Context) -> Result<Said, Failure> {
    if !context.inventory()?.nodes()?.iter().any(|node| node.provider == local::NAME) {
        return Ok((Some("none".to_owned()), Vec::new()));
    }
    let finding = |lack: local::Shortcoming| Finding::new(lack.message, lack.hint);
    Ok((None, Local::new().shortcomings().into_iter().map(finding).collect()))
}

/// Whether a program ended well; `None` when there is no such program.
fn succeeds(command: &mut Command) -> Option<bool> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    Some(status.success())
}

/// The mode of a file that gives others one of these rights.
fn exposed(path: &Path, rights: u32) -> Option<u32> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & rights != 0).then_some(mode)
}

fn chmod(path: &Path, mode: &str) -> String {
    format!("chmod {mode} {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_and_lines_are_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!((exposed(&file, 0o077), exposed(&file, 0o022)), (Some(0o640), None));
        assert_eq!(exposed(&dir.path().join("none"), 0o777), None);
        assert_eq!(strange_lines("# comment\n\na ssh-rsa X\nhalf a-line\nb ssh-rsa Y\n"), [4]);
    }

    #[test]
    fn encrypted_keys_are_told_from_open_ones() {
        let dir = tempfile::tempdir().unwrap();
        for (phrase, encrypted) in [("", false), ("a phrase", true)] {
            let file = dir.path().join(format!("key{encrypted}"));
            let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", phrase, "-f"]).arg(&file).status();
            assert!(made.unwrap().success());
            assert_eq!(is_encrypted(&file), encrypted);
        }
    }
}
