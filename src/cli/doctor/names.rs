//! Where the names of locations lead, as seen from this machine.

use std::net::{IpAddr, ToSocketAddrs};

use super::finding::Finding;
use crate::cli::several;

/// What is to be compared with.
pub(super) struct Home {
    /// The node's name, for the sentences.
    pub(super) node: String,
    /// All addresses at which the node may be reached, the one to name first.
    pub(super) addresses: Vec<IpAddr>,
    /// Whether browsers of this machine are led to it by a port of the loopback.
    pub(super) is_local: bool,
}

/// The hosts that do not lead to the node, in their order.
pub(super) fn astray(hosts: &[String], home: &Home) -> Vec<Finding> {
    let mut found: Vec<(usize, Finding)> = Vec::new();
    let numbered: Vec<(usize, &String)> = hosts.iter().enumerate().collect();
    let look = |(_, host): &(usize, &String)| judge(host, resolve(&asked(host)), home);
    several::each(&numbered, several::LIMIT, look, |(number, _), finding| {
        found.extend(finding.map(|finding| (*number, finding)));
    });
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().map(|(_, finding)| finding).collect()
}

/// A name of a wildcard is like any other.
fn asked(host: &str) -> String {
    host.strip_prefix("*.").map_or_else(|| host.to_owned(), |domain| format!("any-name.{domain}"))
}

/// All addresses of a name; none where it is not known.
pub(super) fn resolve(host: &str) -> Vec<IpAddr> {
    let found = (host, 80).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect());
    found.unwrap_or_default()
}

fn judge(host: &str, found: Vec<IpAddr>, home: &Home) -> Option<Finding> {
    let led_by_loopback = home.is_local && (host == "localhost" || host.ends_with(".localhost"));
    if led_by_loopback || found.iter().any(|address| home.addresses.contains(address)) {
        return None;
    }
    let hint = match home.addresses.first() {
        Some(address) => {
            let kind = if address.is_ipv4() { "A" } else { "AAAA" };
            format!("give {host} the record {kind} {address} at whoever has your domain")
        }
        None => format!("give {host} a record with the node's address at whoever has your domain"),
    };
    let leads = match &found[..] {
        [] => "is not known to the DNS".to_owned(),
        some => format!(
            "leads to {}, and not to {}",
            some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            home.node
        ),
    };
    Some(Finding::new(format!("{host} {leads}."), hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_home_or_are_told() {
        let home = |is_local| Home {
            node: "web".into(),
            addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            is_local,
        };
        let judged = |host: &str, found: &[&str], is_local| {
            let found = found.iter().map(|address| address.parse().unwrap()).collect();
            judge(host, found, &home(is_local)).map(|finding| format!("{} -> {}", finding.message, finding.hint))
        };
        assert_eq!(judged("a.com", &["192.0.2.9", "2001:db8::1"], false), None);
        assert_eq!(judged("a.localhost", &["127.0.0.1"], true), None);
        let elsewhere = judged("a.com", &["192.0.2.9"], false).unwrap();
        assert_eq!(
            elsewhere,
            "a.com leads to 192.0.2.9, and not to web. -> give a.com the record A 192.0.2.1 at whoever has your domain"
        );
        assert!(judged("a.localhost", &["127.0.0.1"], false).is_some());
        assert!(judged("a.com", &[], true).unwrap().starts_with("a.com is not known to the DNS."));
        assert_eq!((asked("*.a.com").as_str(), asked("a.com").as_str()), ("any-name.a.com", "a.com"));
    }

    #[test]
    fn several_are_told_in_their_order() {
        let home = Home { node: "web".into(), addresses: vec![], is_local: false };
        let hosts = ["b.invalid".to_owned(), "a.invalid".to_owned()];
        let told: Vec<String> = astray(&hosts, &home).into_iter().map(|finding| finding.message).collect();
        assert_eq!(told, ["b.invalid is not known to the DNS.", "a.invalid is not known to the DNS."]);
    }
}
