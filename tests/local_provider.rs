//! The local provider on this machine, for real: needs root, boots nodes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cloudtool::providers::local::Local;
use cloudtool::providers::{CreateRequest, Error, Node, NodeState, Progress, Provider, Wait, wait_until_running};

struct Stdout;

impl Progress for Stdout {
    fn step(&self, message: &str) {
        println!("  {message}");
    }
    fn warning(&self, message: &str) {
        println!("  warning: {message}");
    }
}

/// A state directory of its own, with a user's key. Its images stay in `/var/cache/cloudtool-tests`, which takes half a minute to fill.
struct Lab {
    dir: tempfile::TempDir,
    local: Local,
    /// Dropped last: the labs take turns, or the network one of them gave back would be another's at once.
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

impl Lab {
    /// `None`, loudly, when we are not root.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: the local provider's tests need root");
            return None;
        }
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let images = Path::new("/var/cache/cloudtool-tests/images");
        std::fs::create_dir_all(images).unwrap();
        std::os::unix::fs::symlink(images, dir.path().join("images")).unwrap();
        run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", dir.path().join("key").to_str().unwrap()]);
        let local = Local::in_dir(dir.path().to_owned());
        Some(Lab { dir, local, _turn: turn })
    }

    fn request(&self, name: &str) -> CreateRequest {
        CreateRequest {
            name: name.parse().unwrap(),
            image: std::env::var("CLOUDTOOL_TEST_IMAGE").unwrap_or_else(|_| "debian-12".into()),
            size: "small".into(),
            location: None,
            authorized_keys: vec![std::fs::read_to_string(self.dir.path().join("key.pub")).unwrap()],
            host_key: None,
            user_data: None,
        }
    }

    fn wait(&self, id: &str) -> Node {
        let wait = Wait::on(&self.local, Duration::from_secs(60));
        wait_until_running(&self.local, id, wait, &Stdout).unwrap()
    }

    /// Runs a command on the node with OpenSSH, which knows nothing but the host key the provider told.
    fn ssh(&self, node: &Node, command: &str) -> String {
        let address = node.access.address.as_deref().unwrap();
        let known = self.dir.path().join("known");
        std::fs::write(&known, format!("{address} {}\n", node.access.host_keys[0])).unwrap();
        run(&[
            "ssh",
            "-F",
            "none",
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            &format!("UserKnownHostsFile={}", known.display()),
            "-o",
            "BatchMode=yes",
            "-i",
            self.dir.path().join("key").to_str().unwrap(),
            &format!("root@{address}"),
            command,
        ])
    }

    fn leftovers(&self) -> String {
        let dir = self.dir.path().display().to_string();
        let mut found = String::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            if command.contains("systemd-nspawn") && command.contains(&dir) {
                found += &format!("process {command}\n");
            }
        }
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        found.extend(mounts.lines().filter(|line| line.contains(&dir)).map(|line| format!("mount {line}\n")));
        let nodes = std::fs::read_dir(self.dir.path().join("nodes")).unwrap().count();
        let locks = std::fs::read_dir(self.dir.path().join("locks")).unwrap().flatten();
        let locks: Vec<PathBuf> = locks.map(|entry| entry.path()).collect();
        let start = Instant::now();
        while std::fs::read_dir(self.dir.path().join("trash")).is_ok_and(|trash| trash.count() > 0) {
            assert!(start.elapsed() < Duration::from_secs(180), "the trash is not emptied");
            std::thread::sleep(Duration::from_millis(100));
        }
        println!("disks freed after {:.1} s more", start.elapsed().as_secs_f64());
        if nodes > 0 || !locks.is_empty() {
            found += &format!("{nodes} nodes, locks {locks:?}\n");
        }
        found
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for node in self.local.nodes().unwrap_or_default() {
            let _ = self.local.destroy(&node.id, &Stdout);
        }
    }
}

fn run(arguments: &[&str]) -> String {
    let output = Command::new(arguments[0]).args(&arguments[1..]).output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {words}{}", String::from_utf8_lossy(&output.stderr));
    words
}

fn exists(device: &str) -> bool {
    Path::new("/sys/class/net").join(device).exists()
}

/// The network a node is on, from its record.
fn network(node: &Node) -> String {
    format!("ct-local{}", node.answer["network"])
}

/// Where systemd's groups of a node are on a machine without systemd.
fn groups(node: &Node) -> PathBuf {
    let address = node.access.address.as_deref().unwrap();
    let number = address.rsplit('.').next().unwrap();
    PathBuf::from(format!("/sys/fs/cgroup/systemd/cloudtool-local/ct{}-{number}", node.answer["network"]))
}

#[test]
fn the_life_of_a_node() {
    let Some(lab) = Lab::new() else { return };
    let local = &lab.local;
    assert!(local.nodes().unwrap().is_empty());

    let start = Instant::now();
    let created = local.create(&lab.request("life"), &Stdout).unwrap();
    println!("create returned after {:.2} s", start.elapsed().as_secs_f64());
    assert!(matches!(created.state, NodeState::Pending | NodeState::Running), "{}", created.state);
    let node = lab.wait("life");
    println!("running after {:.2} s", start.elapsed().as_secs_f64());
    assert!(matches!(local.create(&lab.request("life"), &Stdout), Err(Error::NameTaken { .. })));

    // It is a system of its own, of the name asked for, behind the host key we were told.
    assert_eq!(lab.ssh(&node, "hostname; cat /proc/1/comm").trim(), "life\nsystemd");
    let state = lab.ssh(&node, "systemctl is-system-running --wait || systemctl --failed --no-legend");
    println!("system state: {}", state.trim());
    // It reaches the network by name.
    lab.ssh(&node, "apt-get -q update");

    // Port 80 of the node answers on this machine's loopback.
    lab.ssh(&node, "mkdir -p /srv/w && echo hello-from-node >/srv/w/index.html && systemd-run --quiet --unit=web python3 -m http.server 80 --directory /srv/w");
    let url = format!("http://app.localhost:{}/", node.access.forwarded_port.unwrap());
    assert_eq!(
        run(&["curl", "-sS", "-4", "--retry", "5", "--retry-connrefused", "--max-time", "20", &url]),
        "hello-from-node\n"
    );
    // Its units are in groups of its own: another node's unit of the same name is in another one.
    let groups = groups(&node);
    if !Path::new("/run/systemd/system").exists() && Path::new("/sys/fs/cgroup/systemd").exists() {
        assert!(groups.join("payload/system.slice/web.service").exists());
    }
    // The size is a limit, where this machine can limit.
    if local.shortcomings().iter().all(|lack| !lack.message.contains("size has no effect")) {
        let eat =
            |mb: u32| lab.ssh(&node, &format!("python3 -c 'x = b\"x\" * ({mb} << 20)' && echo eaten || echo limited"));
        assert_eq!((eat(500).trim(), eat(1500).trim()), ("eaten", "limited"));
    }
    // What listens on this machine's loopback is out of the node's reach.
    let secret = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = secret.local_addr().unwrap().port();
    let reach = format!(
        "ip route add 127.0.0.1/32 via $(ip route show default | cut -d' ' -f3) table 77; timeout 2 bash -c '</dev/tcp/198.18.{}.1/{port}' 2>/dev/null && echo reached || echo guarded",
        77 + node.answer["network"].as_u64().unwrap()
    );
    assert!(lab.ssh(&node, &reach).contains("guarded"));

    // A reboot from outside: the disk stays, the network comes back. One from inside ends it: nobody is there to start it again.
    let boot_id = |node: &Node| lab.ssh(node, "stat -c %Z /proc/1");
    let before = boot_id(&node);
    std::thread::sleep(Duration::from_secs(1));
    local.reboot("life", &Stdout).unwrap();
    let node = lab.wait("life");
    assert_ne!(boot_id(&node), before);
    assert_eq!(lab.ssh(&node, "cat /srv/w/index.html"), "hello-from-node\n");
    lab.ssh(&node, "systemd-run --quiet --on-active=0.2 --timer-property=AccuracySec=10ms systemctl reboot");
    let start = Instant::now();
    while local.get("life").unwrap().state != NodeState::Stopped {
        assert!(start.elapsed() < Duration::from_secs(60), "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    local.start("life", &Stdout).unwrap();
    let node = lab.wait("life");
    assert_eq!(lab.ssh(&node, "hostname"), "life\n");

    let start = Instant::now();
    local.stop("life", &Stdout).unwrap();
    println!("stopped after {:.2} s", start.elapsed().as_secs_f64());
    assert_eq!(local.get("life").unwrap().state, NodeState::Stopped);
    local.stop("life", &Stdout).unwrap();
    // As after a reboot of this machine: no bridge.
    run(&["ip", "link", "delete", &network(&node)]);
    let start = Instant::now();
    local.start("life", &Stdout).unwrap();
    let node = lab.wait("life");
    println!("started again after {:.2} s", start.elapsed().as_secs_f64());
    assert_eq!(lab.ssh(&node, "hostname"), "life\n");

    let start = Instant::now();
    local.destroy("life", &Stdout).unwrap();
    println!("destroyed after {:.2} s", start.elapsed().as_secs_f64());
    assert!(matches!(local.get("life"), Err(Error::NoSuchNode { .. })));
    assert_eq!(lab.leftovers(), "");
    assert!(!groups.exists());
    assert!(!exists(&network(&node)));
    assert!(!run(&["nft", "list", "tables"]).contains(&format!("{}\n", network(&node))));
}

#[test]
#[ignore = "a minute and more: make test-all"]
fn several_at_once_and_half_made_ones() {
    let Some(lab) = Lab::new() else { return };
    let local = &lab.local;
    let nodes: Vec<Node> = std::thread::scope(|scope| {
        let threads: Vec<_> = ["n1", "n2", "a-name-longer-than-a-network-device.example.com"]
            .into_iter()
            .map(|name| {
                let lab = &lab;
                scope.spawn(move || {
                    lab.local.create(&lab.request(name), &Stdout).unwrap();
                    lab.wait(name)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut addresses: Vec<_> = nodes.iter().map(|node| node.private_ips[0]).collect();
    let mut ports: Vec<_> = nodes.iter().map(|node| node.access.forwarded_port).collect();
    addresses.sort();
    addresses.dedup();
    ports.sort();
    ports.dedup();
    assert_eq!((addresses.len(), ports.len()), (3, 3));
    assert_eq!(lab.ssh(&nodes[2], "hostname").trim(), nodes[2].name);

    // A create that was killed in the middle: listed as an error, can be destroyed.
    let half = lab.dir.path().join("nodes/half/root/etc");
    std::fs::create_dir_all(&half).unwrap();
    assert_eq!(local.get("half").unwrap().state, NodeState::Error);
    assert_eq!(local.nodes().unwrap().len(), 4);
    local.destroy("half", &Stdout).unwrap();

    // The others live on when one goes.
    local.destroy("n1", &Stdout).unwrap();
    assert_eq!(lab.ssh(&nodes[1], "hostname"), "n2\n");
    for node in local.nodes().unwrap() {
        local.destroy(&node.id, &Stdout).unwrap();
    }
    assert_eq!(lab.leftovers(), "");
    assert!(!exists(&network(&nodes[0])));
}

/// Not a test: what [`a_create_that_is_killed_can_be_repeated`] runs and kills.
#[test]
#[ignore]
fn create_in_another_process() {
    let Some(dir) = std::env::var_os("CLOUDTOOL_TEST_KILL_DIR") else { return };
    let local = Local::in_dir(dir.into());
    let request = CreateRequest {
        name: "killed".parse().unwrap(),
        image: "debian-12".into(),
        size: "small".into(),
        location: None,
        authorized_keys: vec![],
        host_key: None,
        user_data: None,
    };
    local.create(&request, &Stdout).unwrap();
}

#[test]
fn a_create_that_is_killed_can_be_repeated() {
    let Some(lab) = Lab::new() else { return };
    let local = &lab.local;
    local.create(&lab.request("warm"), &Stdout).unwrap();
    let network = network(&local.get("warm").unwrap());
    local.destroy("warm", &Stdout).unwrap();
    for milliseconds in [30, 100, 300, 700, 1200, 1800, 2500] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "create_in_another_process"])
            .env("CLOUDTOOL_TEST_KILL_DIR", lab.dir.path())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        let state = local.nodes().unwrap().first().map(|node| (node.state, node.reason.clone()));
        println!("killed after {milliseconds} ms: {state:?}");
        if state.is_some() {
            assert!(matches!(local.create(&lab.request("killed"), &Stdout), Err(Error::NameTaken { .. })));
            local.destroy("killed", &Stdout).unwrap();
        }
    }
    local.create(&lab.request("killed"), &Stdout).unwrap();
    lab.wait("killed");
    local.destroy("killed", &Stdout).unwrap();
    assert_eq!(lab.leftovers(), "");
    assert!(!exists(&network));
}

#[test]
fn a_create_that_fails_leaves_nothing() {
    let Some(lab) = Lab::new() else { return };
    let local = &lab.local;
    // An image that is no system: unpacked, but it does not boot.
    local.create(&lab.request("probe"), &Stdout).unwrap();
    local.destroy("probe", &Stdout).unwrap();
    let cached = std::fs::read_dir(lab.dir.path().join("images")).unwrap().flatten().map(|entry| entry.file_name());
    let broken = lab.dir.path().join("broken");
    for (name, target) in [("etc/ssh", None), ("etc/os-release", Some("nothing"))] {
        let path = broken.join("tree").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match target {
            None => std::fs::create_dir_all(path).unwrap(),
            Some(text) => std::fs::write(path, text).unwrap(),
        }
    }
    std::fs::create_dir_all(broken.join("images")).unwrap();
    for name in cached {
        let tar = broken.join("images").join(name);
        run(&["tar", "-cf", tar.to_str().unwrap(), "-C", broken.join("tree").to_str().unwrap(), "."]);
    }
    std::fs::remove_file(lab.dir.path().join("images")).unwrap();
    std::fs::rename(broken.join("images"), lab.dir.path().join("images")).unwrap();
    let error = local.create(&lab.request("broken"), &Stdout).unwrap_err();
    println!("{error}");
    assert!(error.to_string().starts_with("the node broken does not boot"), "{error}");
    assert!(local.nodes().unwrap().is_empty());
    assert_eq!(lab.leftovers(), "");
}
