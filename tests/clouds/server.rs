//! A server of somebody else's API on the loopback.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A process that serves, until it is dropped. What it says goes to a file under `target/tmp/clouds`.
pub struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `command` and waits until `port` accepts connections.
    ///
    /// Panics with the end of its log when it does not, within some minutes: the largest are whole clouds.
    pub fn start(name: &str, command: &mut Command, port: u16) -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("clouds");
        std::fs::create_dir_all(&dir).unwrap();
        let log = dir.join(format!("{name}.log"));
        let file = std::fs::File::create(&log).unwrap();
        command.stdin(std::process::Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut server = Server { child, log };
        server.await_port(port);
        server
    }

    fn await_port(&mut self, port: u16) {
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || start.elapsed() > Duration::from_secs(240) {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                let end: Vec<&str> = log.lines().rev().take(20).collect();
                panic!(
                    "no server on port {port} ({ended:?}):\n{}",
                    end.into_iter().rev().collect::<Vec<_>>().join("\n")
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port nobody uses.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Where `scripts/install-cloud-servers` puts what it installs.
pub fn installed(path: &str) -> PathBuf {
    let path = PathBuf::from("/var/cache/cloudtool-tests/clouds").join(path);
    assert!(path.exists(), "{} is missing: run scripts/install-cloud-servers", path.display());
    path
}
