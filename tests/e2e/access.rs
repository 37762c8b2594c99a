//! Who is let in and whom we believe: host keys, users with and without sudo, keys, ports, `~/.ssh/config`.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Test;
use crate::http::get;
use crate::world::{App, World, assert_success, at_a_terminal, both};

pub const TESTS: &[Test] = &[
    ("host_keys_are_strict", host_keys_are_strict),
    ("a_user_with_sudo_is_enough_and_one_without_is_told", a_user_with_sudo_is_enough_and_one_without_is_told),
    ("what_does_not_answer_is_given_up_soon", what_does_not_answer_is_given_up_soon),
    ("ssh_config_agents_and_other_ports_are_honoured", ssh_config_agents_and_other_ports_are_honoured),
];

/// A host key that is nobody's.
const OTHER_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDdMoVRLn6SoZ/H7q3ICsHIL9eN3yKz8yTBXoXeB1Jdc";

/// Another person at another machine: a home of their own, with the key that opens the node, and no host key known.
struct Person {
    home: TempDir,
    agent: Option<String>,
}

impl Person {
    fn new(world: &World) -> Self {
        let home = tempfile::tempdir().expect("a home");
        let person = Person { home, agent: None };
        for directory in [".ssh", "bin", "data"] {
            fs::create_dir(person.path(directory)).expect("a directory");
        }
        fs::copy(world.home.path().join("data/id_ed25519"), person.path("key")).expect("the key");
        // ssh itself asks the password file for the home, not the environment: this is how it finds another configuration.
        let config = person.path(".ssh/config");
        person.write(".ssh/config", "");
        person.write("bin/ssh", &format!("#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n", config.display()));
        fs::set_permissions(person.path("bin/ssh"), fs::Permissions::from_mode(0o755)).expect("chmod");
        person
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("it is written");
    }

    fn command(&self, world: &World, args: &[&str]) -> Command {
        let mut command = world.command(args);
        command.env("HOME", self.home.path()).env("CLOUDTOOL_DATA_DIR", self.path("data"));
        command.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.path("bin").display()));
        if let Some(agent) = &self.agent {
            command.env("SSH_AUTH_SOCK", agent);
        }
        command
    }

    fn run(&self, world: &World, args: &[&str]) -> Output {
        self.command(world, args).output().expect("the binary starts")
    }

    fn fails(&self, world: &World, code: i32, args: &[&str]) -> String {
        let output = self.run(world, args);
        assert_eq!(output.status.code(), Some(code), "{args:?}\n{}", both(&output));
        both(&output)
    }

    /// Runs it in a terminal (of `script`), where these lines are typed.
    fn at_a_terminal(&self, world: &World, args: &[&str], typed: &str) -> (Option<i32>, String) {
        at_a_terminal(&self.command(world, args), typed)
    }

    fn known_hosts(&self) -> String {
        fs::read_to_string(self.path("data/known_hosts")).unwrap_or_default()
    }
}

/// The node's host key of a type, as `type base64`.
fn host_key(world: &World, kind: &str) -> String {
    let line = world.node_says(["cat", &format!("/etc/ssh/ssh_host_{kind}_key.pub")]);
    line.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn host_keys_are_strict(world: &World) {
    // Local nodes are pinned at creation: nobody was asked, and the key is the node's own.
    let pinned = fs::read_to_string(world.home.path().join("data/known_hosts")).expect("it is there");
    let ed25519 = host_key(world, "ed25519");
    assert!(pinned.contains(&ed25519), "{pinned}");

    let person = Person::new(world);
    let key = person.path("key");
    let key = key.to_str().expect("UTF-8");
    let address = world.address.as_str();
    let setup = ["setup-node", address, "--user", "root", "--identity", key];

    // Unknown, and nobody to ask; --yes is no answer to this.
    for args in [&setup[..], &[&setup[..], &["--yes"]].concat()] {
        let said = person.fails(world, 5, args);
        assert!(said.contains("not known") && said.contains("SHA256:") && said.contains("known_hosts"), "{said}");
    }
    assert_eq!(person.known_hosts(), "");
    // Unknown, and a person says no, nothing, yes.
    for typed in ["n\n", "\n", "maybe\n"] {
        let (code, seen) = person.at_a_terminal(world, &setup, typed);
        assert!(code == Some(5) && seen.contains("SHA256:"), "{code:?} {seen}");
        assert_eq!(person.known_hosts(), "");
    }
    let (code, seen) = person.at_a_terminal(world, &setup, "yes\n");
    assert_eq!(code, Some(0), "{seen}");
    assert!(person.known_hosts().contains(&ed25519), "{}", person.known_hosts());
    assert_success(&person.run(world, &setup));

    // A changed key stops everything, also at a terminal, and says how to mend it.
    let other = OTHER_KEY;
    person.write("data/known_hosts", &format!("{address} {other}\n"));
    let app = App::hello("stranger", "x");
    let commands: [&[&str]; 4] = [
        &setup,
        &["query", address],
        &["update", app.path_str(), "--node", address, "--host", "stranger.test"],
        &["logs", "stranger", "--node", address],
    ];
    for args in commands {
        let said = person.fails(world, 5, args);
        assert!(said.contains("changed") && said.contains("SHA256:") && said.contains("ssh-keygen -R"), "{said}");
    }
    let (code, seen) = person.at_a_terminal(world, &setup, "yes\n");
    assert!(code == Some(5) && !seen.contains("[y/N]"), "{seen}");
    assert!(person.known_hosts().contains(other), "it was not replaced");

    // Known in the user's own file: plain, hashed, of another type than the one we would take first. (A local node has but one.)
    world.node_script(
        "for t in ecdsa rsa; do [ -e /etc/ssh/ssh_host_${t}_key ] || ssh-keygen -q -t $t -N '' -f /etc/ssh/ssh_host_${t}_key; done; systemctl restart ssh",
    );
    fs::remove_file(person.path("data/known_hosts")).expect("it is there");
    let own = person.path("own_known_hosts");
    person.write(".ssh/config", &format!("Host *\n  UserKnownHostsFile {}\n", own.display()));
    person.write("own_known_hosts", &format!("{address} {}\n", host_key(world, "ecdsa")));
    assert_success(&person.run(world, &setup));
    person.write("own_known_hosts", &format!("{address} {}\n", host_key(world, "rsa")));
    assert_success(&person.run(world, &setup));
    let hashed = Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&own).status().expect("ssh-keygen");
    assert!(hashed.success());
    assert!(fs::read_to_string(&own).expect("it is there").starts_with("|1|"));
    assert_success(&person.run(world, &setup));
    person.write("own_known_hosts", &format!("{address} {other}\n"));
    person.fails(world, 5, &setup);
    assert!(!world.ok(["query", "--json"]).contains("stranger"));
    world.node_script("rm /etc/ssh/ssh_host_ecdsa_key* /etc/ssh/ssh_host_rsa_key*; systemctl restart ssh");
}

fn a_user_with_sudo_is_enough_and_one_without_is_told(world: &World) {
    let person = Person::new(world);
    fs::copy(world.home.path().join("data/known_hosts"), person.path("data/known_hosts")).expect("copied");
    world.node_script(
        "for user in ct_deploy ct_nobody; do
           id $user >/dev/null 2>&1 || useradd -m -s /bin/sh $user
           install -d -o $user -g $user -m 700 /home/$user/.ssh
           install -o $user -g $user -m 600 /root/.ssh/authorized_keys /home/$user/.ssh/authorized_keys
         done
         echo 'ct_deploy ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/ct_deploy",
    );
    let key = person.path("key");
    let key = key.to_str().expect("UTF-8");
    let address = world.address.as_str();

    let said = person.fails(world, 4, &["setup-node", address, "--user", "ct_nobody", "--identity", key]);
    assert!(said.contains("sudo") && said.contains("NOPASSWD"), "{said}");
    assert_success(&person.run(world, &["setup-node", address, "--user", "ct_deploy", "--identity", key]));
    person.write(".ssh/config", &format!("Host {address}\n  IdentityFile {key}\n"));
    let app = App::hello("bysudo", "by sudo");
    assert_success(&person.run(world, &["update", app.path_str(), "--host", "bysudo.test"]));
    assert_eq!(get(address, "bysudo.test", "/").body, "by sudo");
    for args in [
        &["rollback", "bysudo", "--to", "v1"][..],
        &["query"],
        &["releases", "bysudo"],
        &["logs", "bysudo"],
        &["clean-node"],
        &["remove", "bysudo", "-y"],
    ] {
        assert_success(&person.run(world, args));
    }
    // The program is refreshed by a user with sudo too.
    world.node_script("echo old >/usr/local/lib/cloudtool/VERSION");
    assert_success(&person.run(world, &["setup-node", address, "--user", "ct_deploy"]));

    // Neither key nor user.
    let wrong = person.path("wrong");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&wrong)
        .status()
        .expect("ssh-keygen");
    assert!(made.success());
    person.write(".ssh/config", "");
    for (user, identity) in [("root", wrong.to_str().expect("UTF-8")), ("ct_unknown", key), ("root", "/nonexistent")] {
        let said = person.fails(world, 4, &["setup-node", address, "--user", user, "--identity", identity]);
        assert!(said.contains("authorized_keys") && said.contains(user), "{said}");
    }
    world
        .node_script("userdel -r ct_deploy 2>/dev/null; userdel -r ct_nobody 2>/dev/null; rm /etc/sudoers.d/ct_deploy");
}

fn what_does_not_answer_is_given_up_soon(world: &World) {
    let person = Person::new(world);
    let soon = |host: &str, port: u16, seconds: u64| {
        let started = Instant::now();
        let said = person.fails(world, 5, &["setup-node", host, "--port", &port.to_string(), "--user", "root"]);
        assert!(started.elapsed() < Duration::from_secs(seconds), "{:?}: {said}", started.elapsed());
        assert!(said.contains(&port.to_string()), "{said}");
    };
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let rude = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = |listener: &TcpListener| listener.local_addr().expect("it has one").port();
    // All at once: each of them is mostly waiting.
    std::thread::scope(|scope| {
        scope.spawn(|| soon("127.0.0.1", closed, 10));
        scope.spawn(|| soon("no-such-host.invalid", 22, 30));
        // The firewall drops it: nobody says no.
        scope.spawn(|| soon(&world.address, 8081, 30));
        // It accepts, and says nothing, or nonsense.
        scope.spawn(|| soon("127.0.0.1", port(&silent), 45));
        scope.spawn(|| soon("127.0.0.1", port(&rude), 45));
        let (mut stream, _) = rude.accept().expect("a connection");
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").expect("it is written");
    });
}

fn ssh_config_agents_and_other_ports_are_honoured(world: &World) {
    let mut person = Person::new(world);
    let address = world.address.as_str();
    let key = person.path("key");
    // sshd on a second port: setup-node keeps it open, and nothing but what it must.
    // Ubuntu's is started by a socket, which a generator gives the ports.
    world.node_script(
        "echo 'Port 22\nPort 2222' >/etc/ssh/sshd_config.d/10-ct-ports.conf; systemctl daemon-reload; systemctl try-restart ssh.socket; systemctl restart ssh",
    );
    assert!(!reachable(address, 2222), "the firewall does not know it yet");
    world.ok(["setup-node", crate::world::node()]);
    assert!(reachable(address, 2222));
    world.node_script("systemd-run --quiet --collect --unit=ct-listener python3 -m http.server 8081; systemd-run --quiet --collect --unit=ct-listener6 python3 -m http.server --bind :: 8082");
    world.node_script("for n in $(seq 100); do ss -ltn | grep -q :8081 && ss -ltn | grep -q :8082 && break; sleep 0.1; done; ss -ltn | grep :8081");
    assert!(!reachable(address, 8081) && !reachable(address, 8082));
    world.node_script("systemctl stop ct-listener ct-listener6");

    // An alias with everything in it; [host]:port in known_hosts.
    let config = |name: &str, more: &str| {
        format!(
            "Host {name}\n  HostName {address}\n  Port 2222\n  User root\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n{more}\n",
            key.display(),
            person.path("own").display()
        )
    };
    person.write("own", &format!("[{address}]:2222 {}\n", host_key(world, "ed25519")));
    person.write(".ssh/config", &config("web", ""));
    assert_success(&person.run(world, &["setup-node", "web"]));
    let app = App::hello("alias", "by alias");
    assert_success(&person.run(world, &["update", app.path_str(), "--node", "web", "--host", "alias.test"]));
    assert_eq!(get(address, "alias.test", "/").body, "by alias");
    // Another key under that very name is a changed one.
    person.write("own", &format!("[{address}]:2222 {OTHER_KEY}\n"));
    let said = person.fails(world, 5, &["query", "web"]);
    assert!(said.contains("changed"), "{said}");
    person.write("own", &format!("{address} {0}\n[{address}]:2222 {0}\n127.0.0.1 {0}\n", host_key(world, "ed25519")));

    // Through another host: the node itself, by its loopback.
    let inner = format!(
        "Host inner\n  HostName 127.0.0.1\n  User root\n  ProxyJump web\n  IdentityFile {}\n  UserKnownHostsFile {}\n",
        key.display(),
        person.path("own").display()
    );
    person.write(".ssh/config", &format!("{}{inner}", config("web", "")));
    let output = person.run(world, &["query", "--node", "inner", "--json"]);
    assert_success(&output);
    assert!(both(&output).contains("\"alias\""), "{}", both(&output));

    // An agent's key, without any file.
    let agent = Command::new("ssh-agent")
        .arg("-D")
        .arg("-a")
        .arg(person.path("agent"))
        .stdout(Stdio::null())
        .spawn()
        .expect("ssh-agent");
    let agent = Agent(agent);
    let socket = person.path("agent");
    await_file(&socket);
    assert!(
        Command::new("ssh-add").arg("-q").arg(&key).env("SSH_AUTH_SOCK", &socket).status().expect("ssh-add").success()
    );
    person.write(
        ".ssh/config",
        &format!(
            "Host web\n  HostName {address}\n  User root\n  UserKnownHostsFile {}\n",
            person.path("own").display()
        ),
    );
    fs::remove_file(&key).expect("it is there");
    person.fails(world, 4, &["query", "web"]);
    person.agent = Some(socket.to_str().expect("UTF-8").to_owned());
    assert_success(&person.run(world, &["query", "web"]));
    drop(agent);

    world.node_script("rm /etc/ssh/sshd_config.d/10-ct-ports.conf; systemctl restart ssh");
    world.ok(["setup-node", crate::world::node()]);
    assert!(!reachable(address, 2222));
    world.ok(["remove", "alias", "-y"]);
}

struct Agent(std::process::Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn await_file(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} is not there", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn reachable(address: &str, port: u16) -> bool {
    let address = format!("{address}:{port}").parse().expect("an address");
    TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_ok()
}
