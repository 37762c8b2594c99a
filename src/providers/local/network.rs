//! The nodes' network: a bridge, a way out, and the ports of the loopback that lead to the nodes' port 80.
//!
//! Network N is the bridge `ct-localN` with 198.18.(77+N).0/24, of 198.18.0.0/15, which is set aside for tests of networks and
//! so collides with nobody. The default state directory has network 0; another one (tests) takes a free one.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use super::error::LocalError;
use super::state::{DEFAULT_DIR, Record, StateDir};
use super::tools;

/// How many networks there can be.
const NETWORKS: u8 = 20;

/// The first port that is forwarded; the next node gets the next free one.
const FIRST_PORT: u16 = 8080;

/// A table of somebody else (a firewall, Docker) that drops what this machine forwards: nodes then have no way out. Its
/// rules are not ours to change.
pub fn foreign_drop() -> Option<String> {
    let rules = tools::run(tools::program("nft").args(["list", "ruleset"])).ok()?;
    dropping_table(&rules)
}

fn dropping_table(ruleset: &str) -> Option<String> {
    let mut table = None;
    for line in ruleset.lines() {
        if let Some(name) = line.strip_prefix("table ") {
            table = Some(name.trim_end_matches([' ', '{']).to_owned());
        }
        if line.contains("hook forward ") && line.contains("policy drop") {
            return table;
        }
    }
    None
}

/// The address, network and port of a new node. Hold [`super::state::lock_machine`] until its record is written.
pub fn allocate(state: &StateDir, records: &[Record]) -> Result<(u8, Ipv4Addr, u16), LocalError> {
    let network = match records.first() {
        Some(record) => record.network,
        None if state.root == Path::new(DEFAULT_DIR) => 0,
        None => (1..NETWORKS)
            .find(|n| !Path::new("/sys/class/net").join(bridge(*n)).exists())
            .ok_or(LocalError::NothingFree)?,
    };
    let address = (2..=254)
        .map(|host| address(network, host))
        .find(|address| records.iter().all(|record| record.address != *address))
        .ok_or(LocalError::NothingFree)?;
    let rules = tools::run(tools::program("nft").args(["list", "ruleset"]))?;
    let port = (FIRST_PORT..FIRST_PORT + 1000)
        .find(|port| {
            records.iter().all(|record| record.forwarded_port != *port)
                && !forwards(&rules, *port)
                && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()
        })
        .ok_or(LocalError::NothingFree)?;
    Ok((network, address, port))
}

/// Brings bridge, routing and rules into the state these nodes (all of one network) need.
pub fn set_up(network: u8, records: &[Record]) -> Result<(), LocalError> {
    let bridge = bridge(network);
    if !Path::new("/sys/class/net").join(&bridge).exists() {
        tools::ip(&["link", "add", &bridge, "type", "bridge"])?;
    }
    tools::ip(&["address", "replace", &format!("{}/24", gateway(network)), "dev", &bridge])?;
    tools::ip(&["link", "set", &bridge, "up"])?;
    sysctl("net/ipv4/ip_forward")?;
    // Lets an answer to a forwarded connection of the loopback come back over the bridge.
    sysctl(&format!("net/ipv4/conf/{bridge}/route_localnet"))?;
    tools::run_with_input(tools::program("nft").args(["-f", "-"]), &rules(network, records))?;
    Ok(())
}

/// Takes away all of a network. It is no error when nothing is there.
pub fn tear_down(network: u8) -> Result<(), LocalError> {
    let bridge = bridge(network);
    // "table x; delete table x" is nft's way to delete what may not be there.
    tools::run_with_input(
        tools::program("nft").args(["-f", "-"]),
        &format!("table ip {bridge} {{}}\ndelete table ip {bridge}\n"),
    )?;
    if Path::new("/sys/class/net").join(&bridge).exists() {
        tools::ip(&["link", "delete", &bridge])?;
    }
    Ok(())
}

pub fn bridge(network: u8) -> String {
    format!("ct-local{network}")
}

/// This machine's address in the network.
pub fn gateway(network: u8) -> Ipv4Addr {
    address(network, 1)
}

fn address(network: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, 77 + network, host)
}

/// The table of a network, replaced as a whole in one transaction.
fn rules(network: u8, records: &[Record]) -> String {
    let bridge = bridge(network);
    let gateway = gateway(network);
    let mut forwards = String::new();
    for record in records {
        forwards.push_str(&format!(
            "        ip daddr 127.0.0.1 tcp dport {} dnat to {}:80\n",
            record.forwarded_port, record.address
        ));
    }
    format!(
        "table ip {bridge} {{}}
delete table ip {bridge}
table ip {bridge} {{
    # Nodes must not reach what listens on this machine's loopback alone, although route_localnet is on.
    chain guard {{
        type filter hook prerouting priority raw; policy accept;
        iifname \"{bridge}\" ip daddr 127.0.0.0/8 drop
    }}
    chain forwards {{
        type nat hook output priority -100; policy accept;
{forwards}    }}
    chain way_out {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {gateway}/24 oifname != \"{bridge}\" masquerade
        ip saddr 127.0.0.0/8 oifname \"{bridge}\" masquerade
    }}
}}
"
    )
}

/// True when a table forwards this port of the loopback already, ours or one of another state directory.
fn forwards(ruleset: &str, port: u16) -> bool {
    ruleset.contains(&format!("tcp dport {port} dnat to "))
}

fn sysctl(key: &str) -> Result<(), LocalError> {
    let path = Path::new("/proc/sys").join(key);
    let failed = || LocalError::io(format!("cannot set {}", path.display()));
    if fs::read_to_string(&path).map_err(failed())?.trim() != "1" {
        fs::write(&path, "1").map_err(failed())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_firewall_that_drops_is_named() {
        let docker = "table ip nat {\n}\ntable ip filter {\n\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n";
        assert_eq!(dropping_table(docker).as_deref(), Some("ip filter"));
        assert_eq!(dropping_table(&docker.replace("drop", "accept")), None);
    }

    #[test]
    fn every_node_has_its_forward() {
        let record = Record {
            name: "demo".into(),
            image: "debian-12".into(),
            size: "small".into(),
            network: 2,
            address: address(2, 9),
            forwarded_port: 8081,
            host_key: String::new(),
            complete: true,
        };
        let text = rules(2, &[record]);
        assert!(text.contains("ip daddr 127.0.0.1 tcp dport 8081 dnat to 198.18.79.9:80"), "{text}");
        assert!(text.contains("delete table ip ct-local2"), "{text}");
        assert!(forwards(&text, 8081) && !forwards(&text, 8080) && !forwards(&text, 808));
    }
}
