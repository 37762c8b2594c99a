//! The provider `ssh`: plain hosts that somebody set up with `setup-node HOST`. There is no API behind it, so nodes can
//! neither be made nor destroyed; the inventory says which there are.

use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::Duration;

use super::{
    Access, Capabilities, CreateRequest, Error, Image, Node, NodeState, Progress, Provider, Region, Result, Size,
};
use crate::inventory::NodeRecord;

/// The word after `--provider`.
pub const NAME: &str = "ssh";

/// How long a host may take to accept a connection before its state is called unknown.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The hosts known to the inventory.
pub struct Hosts {
    records: Vec<NodeRecord>,
}

impl Hosts {
    /// Of `records` (all of the inventory) those of this provider.
    pub fn new(records: Vec<NodeRecord>) -> Self {
        Hosts { records: records.into_iter().filter(|record| record.provider == NAME).collect() }
    }
}

/// Nothing: the machines are somebody else's.
pub(super) const CAPABILITIES: Capabilities = Capabilities {
    create: false,
    destroy: false,
    start: false,
    stop: false,
    reboot: false,
    suspend: false,
    host_keys: false,
    user_data: false,
    prices: false,
    first_poll: Duration::from_secs(1),
};

impl Provider for Hosts {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn images(&self) -> Result<Vec<Image>> {
        Ok(Vec::new())
    }

    fn sizes(&self) -> Result<Vec<Size>> {
        Ok(Vec::new())
    }

    fn regions(&self) -> Result<Vec<Region>> {
        Ok(Vec::new())
    }

    /// All hosts, each looked at by opening a TCP connection, all at the same time.
    fn nodes(&self) -> Result<Vec<Node>> {
        Ok(thread::scope(|scope| {
            let looks: Vec<_> = self.records.iter().map(|record| scope.spawn(|| look_at(record))).collect();
            looks.into_iter().filter_map(|look| look.join().ok()).collect()
        }))
    }

    fn get(&self, id: &str) -> Result<Node> {
        match self.records.iter().find(|record| record.id == id) {
            Some(record) => Ok(look_at(record)),
            None => Err(Error::NoSuchNode { provider: NAME.into(), id: id.into() }),
        }
    }

    fn create(&self, request: &CreateRequest, _progress: &dyn Progress) -> Result<Node> {
        Err(Error::Unsupported {
            provider: NAME.into(),
            what: "create a node: its hosts are there already",
            hint: Some(format!(
                "`cloudtool setup-node {}` makes a node of a host you can reach by SSH; `--provider local` creates one on this machine.",
                request.name
            )),
        })
    }

    fn destroy(&self, _id: &str, _progress: &dyn Progress) -> Result<()> {
        Err(Error::Unsupported {
            provider: NAME.into(),
            what: "destroy a node: cloudtool did not make it",
            hint: Some("`cloudtool remove APP` takes an app off it; the machine itself is yours to end.".into()),
        })
    }
}

fn look_at(record: &NodeRecord) -> Node {
    let addresses: Vec<_> = match &record.address {
        Some(address) => (address.as_str(), record.port).to_socket_addrs().map(Iterator::collect).unwrap_or_default(),
        None => Vec::new(),
    };
    let answers = addresses.iter().any(|address| TcpStream::connect_timeout(address, CONNECT_TIMEOUT).is_ok());
    let mut ips: Vec<IpAddr> = addresses.iter().map(|address| address.ip()).collect();
    ips.dedup();
    let (private_ips, public_ips) = ips.into_iter().partition(is_private);
    Node {
        name: record.name.clone(),
        provider: NAME.into(),
        id: record.id.clone(),
        state: if answers { NodeState::Running } else { NodeState::Unknown },
        public_ips,
        private_ips,
        image: None,
        size: None,
        location: None,
        access: Access {
            address: record.address.clone(),
            port: record.port,
            user: record.user.clone().unwrap_or_else(|| "root".into()),
            host_keys: record.host_keys.clone(),
            forwarded_port: None,
        },
        reason: (!answers).then(|| format!("no answer on port {}", record.port)),
        answer: record.answer.clone(),
    }
}

fn is_private(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::Silent;
    use super::*;
    use crate::error::Explain;

    fn record(provider: &str, id: &str, port: u16) -> NodeRecord {
        NodeRecord {
            provider: provider.into(),
            id: id.into(),
            name: id.into(),
            address: Some("127.0.0.1".into()),
            port,
            ..NodeRecord::default()
        }
    }

    #[test]
    fn a_host_that_accepts_connections_runs() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let up = listener.local_addr().unwrap().port();
        let down = {
            let closed = TcpListener::bind("127.0.0.1:0").unwrap();
            closed.local_addr().unwrap().port()
        };
        let hosts = Hosts::new(vec![record("ssh", "a", up), record("ssh", "b", down), record("local", "c", up)]);
        let nodes = hosts.nodes().unwrap();
        let states: Vec<_> = nodes.iter().map(|n| (n.name.as_str(), n.state)).collect();
        assert_eq!(states, [("a", NodeState::Running), ("b", NodeState::Unknown)]);
        assert!(hosts.get("c").is_err());
    }

    #[test]
    fn creating_is_refused_with_the_way_out() {
        let request = CreateRequest {
            name: "web".parse().unwrap(),
            image: String::new(),
            size: String::new(),
            location: None,
            authorized_keys: vec![],
            host_key: None,
            user_data: None,
        };
        let error = Hosts::new(vec![]).create(&request, &Silent).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Usage);
        assert!(error.hint().unwrap().contains("cloudtool setup-node web"));
    }
}
