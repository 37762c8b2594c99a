//! Whether a node's sshd answers.

use std::io::{Error, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::error::{Failure, Kind};
use crate::inventory::NodeRecord;

/// Waits until something that speaks SSH answers.
pub(super) fn wait_for(record: &NodeRecord, timeout: Duration) -> Result<(), Failure> {
    let address = (record.address.as_deref().unwrap_or(&record.name), record.port);
    let start = Instant::now();
    loop {
        match answers(address) {
            Ok(()) => return Ok(()),
            Err(reason) if start.elapsed() >= timeout => {
                return Err(Failure::new(
                    Kind::Unreachable,
                    format!("{} did not answer within {} s: {reason}", record.name, timeout.as_secs()),
                )
                .hint(format!("it may still come: cloudtool setup-node {}", record.name)));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

fn answers(address: (&str, u16)) -> std::io::Result<()> {
    let mut last = Error::other("the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, Duration::from_secs(2)) {
            Ok(mut stream) => {
                stream.set_read_timeout(Some(Duration::from_secs(5)))?;
                let mut banner = [0; 4];
                stream.read_exact(&mut banner)?;
                if &banner == b"SSH-" {
                    return Ok(());
                }
                last = Error::other("no sshd answers there");
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
