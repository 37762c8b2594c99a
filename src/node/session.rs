//! One SSH connection: dial, verify the host key, log in with a key. Every host key is checked before anything is sent.

use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ssh2::MethodType;
use tracing::debug;

use super::error::Error;
use super::host_keys::HostKeys;
use super::{Destination, Proxy};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may take for each step until we are logged in. Something that accepts connections and says nothing must not
/// hold us for ever.
const LOGIN_TIMEOUT_MS: u32 = 15_000;

/// A connection that is logged in.
pub struct Session {
    pub(super) ssh: ssh2::Session,
    /// The connection under it, to wait for.
    socket: OwnedFd,
    destination: Destination,
    /// The public key that opened the door, `type base64`, if it is known.
    key: Option<String>,
    round_trips: u32,
}

impl Session {
    /// Connects, checks the host key, and logs in with the agent's keys, then the key files.
    pub fn open(destination: &Destination, host_keys: &HostKeys) -> Result<Self, Error> {
        let mut ssh = ssh2::Session::new().map_err(|error| lost(destination, error))?;
        let socket = match &destination.proxy {
            None => {
                let stream = dial(destination)?;
                let copy = stream.try_clone().map_err(|error| lost(destination, error))?;
                ssh.set_tcp_stream(stream);
                OwnedFd::from(copy)
            }
            Some(proxy) => {
                let stream = dial_through(proxy, destination)?;
                let copy = stream.try_clone().map_err(|error| lost(destination, error))?;
                ssh.set_tcp_stream(stream);
                OwnedFd::from(copy)
            }
        };
        ssh.set_timeout(LOGIN_TIMEOUT_MS);
        prefer_fast_ciphers(&ssh, destination)?;
        ssh.method_pref(MethodType::HostKey, &host_keys.preferred_algorithms(destination))
            .map_err(|error| lost(destination, error))?;
        ssh.handshake().map_err(|error| unreachable(destination, &format!("no SSH there: {}", error.message())))?;
        debug!(
            cipher = ssh.methods(MethodType::CryptCs),
            key_exchange = ssh.methods(MethodType::Kex),
            host_key = ssh.methods(MethodType::HostKey),
            "shook hands with {}",
            destination.name
        );
        host_keys.verify(&ssh, destination)?;
        // TCP, banner and algorithms, key exchange, the service request.
        let mut session = Session { ssh, socket, destination: destination.clone(), key: None, round_trips: 4 };
        session.log_in()?;
        debug!(user = destination.user, key = session.key, "logged in to {}", destination.name);
        // From here on a long silence is work: building an environment, waiting for a lock.
        session.ssh.set_timeout(0);
        Ok(session)
    }

    pub fn node(&self) -> &str {
        &self.destination.name
    }

    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The public key we logged in with (`type base64`), when it is known.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// How often we waited for an answer so far.
    pub fn round_trips(&self) -> u32 {
        self.round_trips
    }

    pub(super) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    pub(super) fn count_round_trip(&mut self) {
        self.round_trips += 1;
    }

    /// The connection is dead: from now on nothing waits for it, also not the closing of channels when they are dropped,
    /// which libssh2 would try for ever.
    pub(super) fn abandon(&self) {
        self.ssh.set_timeout(1);
    }

    /// Whether the last failure was the connection's own, not the other side's answer.
    pub(super) fn is_dead(&self) -> bool {
        // LIBSSH2_ERROR_SOCKET_SEND, _SOCKET_DISCONNECT, _SOCKET_TIMEOUT, _SOCKET_RECV
        const DEAD: [i32; 4] = [-7, -13, -30, -43];
        let last = ssh2::Error::last_session_error(&self.ssh).map(|error| error.code());
        matches!(last, Some(ssh2::ErrorCode::Session(code)) if DEAD.contains(&code))
    }

    pub(super) fn lost(&self, reason: impl ToString) -> Error {
        Error::ConnectionLost { node: self.destination.name.clone(), reason: reason.to_string() }
    }

    fn log_in(&mut self) -> Result<(), Error> {
        let mut offered = Vec::new();
        if self.destination.agent && self.log_in_with_agent(&mut offered) {
            return Ok(());
        }
        for file in self.destination.identities.clone() {
            if self.log_in_with_file(&file, &mut offered) {
                return Ok(());
            }
        }
        let offered = if offered.is_empty() { "no key found".to_owned() } else { offered.join(", ") };
        Err(Error::AuthenticationRefused {
            node: self.destination.name.clone(),
            user: self.destination.user.clone(),
            offered,
        })
    }

    fn log_in_with_agent(&mut self, offered: &mut Vec<String>) -> bool {
        let Ok(mut agent) = self.ssh.agent() else { return false };
        if agent.connect().is_err() || agent.list_identities().is_err() {
            return false;
        }
        for identity in agent.identities().unwrap_or_default() {
            self.round_trips += 2;
            offered.push(format!("{} from the agent", identity.comment()));
            if agent.userauth(&self.destination.user, &identity).is_ok() {
                self.key = public_key_line(identity.blob());
                return true;
            }
        }
        false
    }

    fn log_in_with_file(&mut self, file: &Path, offered: &mut Vec<String>) -> bool {
        self.round_trips += 2;
        match self.ssh.userauth_pubkey_file(&self.destination.user, None, file, None) {
            Ok(()) => {
                self.key = public_key_of(file);
                true
            }
            Err(error) => {
                // -18 and -19: the server refused it; anything else: we could not read it.
                let refused = matches!(error.code(), ssh2::ErrorCode::Session(-18 | -19));
                let why = if refused { String::new() } else { " (unreadable or encrypted)".to_owned() };
                offered.push(format!("{}{why}", file.display()));
                false
            }
        }
    }
}

/// Hanging up waits for nothing: everything that was asked for is answered by then, and the other end's word on the closing would be
/// one round trip more for every command.
impl Drop for Session {
    fn drop(&mut self) {
        self.ssh.set_blocking(false);
    }
}

pub(super) fn lost(destination: &Destination, reason: impl ToString) -> Error {
    Error::ConnectionLost { node: destination.name.clone(), reason: reason.to_string() }
}

fn unreachable(destination: &Destination, reason: &str) -> Error {
    Error::Unreachable {
        node: destination.name.clone(),
        address: format!("{}:{}", destination.host, destination.port),
        reason: reason.to_owned(),
    }
}

fn dial(destination: &Destination) -> Result<TcpStream, Error> {
    let addresses = (destination.host.as_str(), destination.port)
        .to_socket_addrs()
        .map_err(|error| unreachable(destination, &error.to_string()))?;
    let mut reason = "the name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => {
                debug!("connected to {} at {address}", destination.name);
                notice_dead_peers(&stream).map_err(|error| lost(destination, error))?;
                return Ok(stream);
            }
            Err(error) => reason = error.to_string(),
        }
    }
    Err(unreachable(destination, &reason))
}

/// Small requests leave at once; a network that went away is an error after half a minute, not a hang.
fn notice_dead_peers(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(Duration::from_secs(30)))
}

/// Lets the user's ssh carry the bytes, as its ProxyJump and ProxyCommand do.
fn dial_through(proxy: &Proxy, destination: &Destination) -> Result<UnixStream, Error> {
    let start = || -> std::io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        let input = OwnedFd::from(theirs.try_clone()?);
        let output = OwnedFd::from(theirs);
        let mut command = match proxy {
            Proxy::Jump(hosts) => {
                let (before, last) = hosts.rsplit_once(',').map_or((None, hosts.as_str()), |(a, b)| (Some(a), b));
                let mut command = Command::new("ssh");
                if let Some(before) = before {
                    command.args(["-J", before]);
                }
                command.args(["-W", &format!("{}:{}", destination.host, destination.port), "--", last]);
                command
            }
            // The user's own configuration, meant for a shell: ssh runs it the same way.
            Proxy::Command(line) => {
                let mut command = Command::new("/bin/sh");
                command.args(["-c", line]);
                command
            }
        };
        command.stdin(Stdio::from(input)).stdout(Stdio::from(output)).spawn()?;
        Ok(ours)
    };
    start().map_err(|error| unreachable(destination, &format!("the proxy cannot be started: {error}")))
}

/// ChaCha20-Poly1305 first: libssh2 encrypts it a packet at a time, AES block by block, which costs more than the processor's own AES
/// saves. Measured, a second of a core does 260 to 280 MB of it, 180 to 235 of AES-CTR with HMAC, 130 to 180 of AES-GCM.
fn prefer_fast_ciphers(ssh: &ssh2::Session, destination: &Destination) -> Result<(), Error> {
    const CIPHERS: &str =
        "chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com,aes256-ctr,aes192-ctr,aes128-ctr";
    for direction in [MethodType::CryptCs, MethodType::CryptSc] {
        ssh.method_pref(direction, CIPHERS).map_err(|error| lost(destination, error))?;
    }
    Ok(())
}

/// The text form of a public key blob, whose first field is its type.
fn public_key_line(blob: &[u8]) -> Option<String> {
    use base64::Engine;
    let length = u32::from_be_bytes(blob.get(..4)?.try_into().ok()?) as usize;
    let key_type = std::str::from_utf8(blob.get(4..4 + length)?).ok()?;
    Some(format!("{key_type} {}", base64::engine::general_purpose::STANDARD.encode(blob)))
}

/// The public half of a private key file: from the `.pub` beside it, else from ssh-keygen.
fn public_key_of(file: &Path) -> Option<String> {
    let mut name = file.as_os_str().to_owned();
    name.push(".pub");
    let text = std::fs::read_to_string(PathBuf::from(name)).ok().or_else(|| {
        let output = Command::new("ssh-keygen").arg("-y").arg("-P").arg("").arg("-f").arg(file).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    })?;
    let mut fields = text.split_ascii_whitespace();
    Some(format!("{} {}", fields.next()?, fields.next()?))
}
