//! Where a node is and how to get there: what the user said, over `~/.ssh/config`, over the defaults.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::config::paths::expand_home;

/// How to get a byte stream to a node that cannot be reached directly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxy {
    /// `ProxyJump`: through these hosts.
    Jump(String),
    /// `ProxyCommand`: the user's own shell command, already expanded.
    Command(String),
}

/// Everything needed to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// What the user calls it; for messages.
    pub name: String,
    pub host: String,
    pub port: u16,
    pub user: String,
    /// Private key files, tried in this order after the agent's keys.
    pub identities: Vec<PathBuf>,
    /// Offer the agent's keys too.
    pub agent: bool,
    pub proxy: Option<Proxy>,
    /// The user's own known_hosts files.
    pub known_hosts: Vec<PathBuf>,
}

impl Destination {
    /// `host` may be an alias of `~/.ssh/config`, `user@host` or `user@host:port`. `user`, `port` and `identity` win over everything.
    ///
    /// What `ssh` would do is asked from `ssh -G`, so every directive that decides where to connect means here what it means there. Without an ssh client
    /// the defaults count.
    pub fn resolve(name: &str, host: &str, port: Option<u16>, user: Option<&str>, identity: Option<&Path>) -> Self {
        let (user_in_host, host) = match host.split_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, host),
        };
        let (host, port_in_host) = match host.rsplit_once(':') {
            Some((bare, port)) if !bare.contains(':') => (bare, port.parse().ok()),
            _ => (host, None),
        };
        let configured = ssh_config(host);
        let mut destination = from_ssh_config(host, &configured);
        destination.name = name.to_owned();
        if let Some(port) = port.or(port_in_host) {
            destination.port = port;
        }
        if let Some(user) = user.or(user_in_host) {
            destination.user = user.to_owned();
        }
        if let Some(identity) = identity {
            destination.identities = vec![identity.to_owned()];
            destination.agent = false;
        }
        destination
    }
}

/// The output of `ssh -G HOST`, or nothing when there is no ssh client.
fn ssh_config(host: &str) -> String {
    let output = Command::new("ssh").args(["-G", "--", host]).output();
    match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        _ => String::new(),
    }
}

fn from_ssh_config(host: &str, configured: &str) -> Destination {
    let mut destination = Destination {
        name: host.to_owned(),
        host: host.to_owned(),
        port: 22,
        user: "root".to_owned(),
        identities: Vec::new(),
        agent: true,
        proxy: None,
        known_hosts: Vec::new(),
    };
    let login = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default();
    for line in configured.lines() {
        let Some((key, value)) = line.split_once(' ') else { continue };
        match key {
            "hostname" => value.clone_into(&mut destination.host),
            "port" => destination.port = value.parse().unwrap_or(22),
            // ssh -G names the local login when nobody configured a user; a bare server is entered as root.
            "user" if value != login => value.clone_into(&mut destination.user),
            "identityfile" => destination.identities.push(expand_home(value)),
            "identitiesonly" => destination.agent = value != "yes",
            "proxyjump" if value != "none" => destination.proxy = Some(Proxy::Jump(value.to_owned())),
            "proxycommand" if value != "none" => destination.proxy = Some(Proxy::Command(value.to_owned())),
            "userknownhostsfile" => {
                destination.known_hosts = value.split(' ').filter(|file| *file != "none").map(expand_home).collect();
            }
            _ => {}
        }
    }
    if configured.is_empty()
        && let Some(home) = dirs::home_dir()
    {
        destination.identities =
            ["id_ed25519", "id_ecdsa", "id_rsa"].iter().map(|key| home.join(".ssh").join(key)).collect();
        destination.known_hosts = vec![home.join(".ssh/known_hosts")];
    }
    destination.identities.retain(|file| file.is_file());
    destination
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_config_is_understood() {
        let destination = from_ssh_config(
            "web",
            "user deploy\nhostname 10.0.0.1\nport 2222\nproxyjump bastion\nidentitiesonly yes\nuserknownhostsfile /a /b\n",
        );
        assert_eq!(
            (destination.host.as_str(), destination.port, destination.user.as_str()),
            ("10.0.0.1", 2222, "deploy")
        );
        assert_eq!(destination.proxy, Some(Proxy::Jump("bastion".into())));
        assert!(!destination.agent);
        assert_eq!(destination.known_hosts, [PathBuf::from("/a"), PathBuf::from("/b")]);
    }

    #[test]
    fn what_the_user_says_wins() {
        let destination = Destination::resolve("n", "me@198.18.0.1:23", None, None, Some(Path::new("/k")));
        assert_eq!((destination.host.as_str(), destination.port, destination.user.as_str()), ("198.18.0.1", 23, "me"));
        assert_eq!(destination.identities, [PathBuf::from("/k")]);
        let destination = Destination::resolve("n", "me@198.18.0.1:23", Some(24), Some("you"), None);
        assert_eq!((destination.port, destination.user.as_str()), (24, "you"));
    }
}
