//! What can befall a node and its deployers: killed processes, a cut network, a full disk, a power cut.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cloudtool::providers::local::Local;
use cloudtool::providers::{NodeState, Progress, Provider};

use crate::whole::await_that;
use crate::world::{World, both, node};

/// How many moments a kill is tried at. Fifty is what the product promises; a run of all tests has fewer.
pub fn rounds(default: u32) -> u32 {
    std::env::var("CLOUDTOOL_E2E_ROUNDS")
        .map_or(default, |text| text.parse().expect("CLOUDTOOL_E2E_ROUNDS is a number"))
}

/// Moment `round` of `rounds` in something that takes `whole`: spread over all of it, at random within each share.
pub fn moment(round: u32, rounds: u32, whole: Duration) -> Duration {
    let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), round) % 1000;
    whole * (1000 * round + random as u32) / (1000 * rounds)
}

/// Starts an update with its output put aside; a group of its own, so that a test that fails leaves nothing running.
pub fn start_update(world: &World, dir: &str, more: &[&str]) -> Child {
    let mut command = world.command(["update", dir]);
    command.args(more).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    command.spawn().expect("the binary starts")
}

/// Bytes that do not compress.
pub fn noise(size: usize) -> Vec<u8> {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    (0..size / 8).flat_map(|_| next().to_le_bytes()).collect()
}

/// The processes of the node, as this machine numbers them, whose command line holds `words`.
pub fn node_processes(words: &str) -> Vec<u32> {
    let space = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let Some(of_node) = space(init()) else { return Vec::new() };
    let holds = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(words)
    };
    processes().into_iter().filter(|pid| space(*pid).as_ref() == Some(&of_node)).filter(holds).collect()
}

pub fn kill(pid: u32) {
    signal(pid, "KILL");
}

/// What a command said that was killed after a while: in even rounds on the node, in odd ones here.
pub fn killed_in_the_middle(world: &World, words: &[&str], round: u32, after: Duration) -> String {
    let mut command = world.command(words);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    std::thread::sleep(after);
    if round.is_multiple_of(2) {
        node_processes("cloudtool/node/__main__.py").into_iter().for_each(kill);
    } else {
        child.kill().expect("it is killed");
    }
    both(&child.wait_with_output().expect("it ends"))
}

/// Sends a signal to a process that may be gone.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args(["-s", name, &pid.to_string()]).stderr(Stdio::null()).status();
    status.expect("kill runs");
}

/// Where a path of the node is on this machine.
pub fn on_disk(path: &str) -> PathBuf {
    root().join(path.trim_start_matches('/'))
}

fn root() -> PathBuf {
    World::local_dir().join("nodes").join(node()).join("root")
}

/// Process 1 of the node.
fn init() -> u32 {
    let root = format!("--directory={}", root().display());
    let started_by = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let (name, rest) = stat.rsplit_once(") ")?;
        let parent: u32 = rest.split(' ').nth(1)?.parse().ok()?;
        let line = fs::read(format!("/proc/{parent}/cmdline")).ok()?;
        let ours = line.split(|byte| *byte == 0).any(|word| word == root.as_bytes());
        (ours && name.ends_with("(systemd")).then_some(())
    };
    processes().into_iter().find(|pid| started_by(pid).is_some()).expect("the node runs")
}

fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("there is /proc");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Drops every packet of one SSH connection, and of no other, until it is dropped.
pub struct NetworkCut {
    table: String,
}

impl NetworkCut {
    /// The connection of a process to this address, as soon as there is one.
    pub fn of(address: &str, pid: u32) -> Self {
        await_that("the client is connected", || Self::of_one_that_is(address, pid))
    }

    /// None when it has none.
    pub fn of_one_that_is(address: &str, pid: u32) -> Option<Self> {
        let output = Command::new("ss").args(["-Htnp", "state", "established", "dst", address]).output().expect("ss");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find(|line| line.contains(&format!("pid={pid},")))?;
        let port: u16 = line.split_whitespace().nth(2)?.rsplit_once(':')?.1.parse().ok()?;
        // Other runs of these tests on this machine have theirs.
        let table = format!("cloudtool_e2e_cut_{port}");
        nft(&format!(
            "table inet {table} {{
                chain output {{ type filter hook output priority 0; ip daddr {address} tcp sport {port} drop; }}
                chain input {{ type filter hook input priority 0; ip saddr {address} tcp dport {port} drop; }}
            }}"
        ));
        Some(NetworkCut { table })
    }
}

impl Drop for NetworkCut {
    fn drop(&mut self) {
        nft(&format!("delete table inet {}", self.table));
    }
}

fn nft(rules: &str) {
    let mut child = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().expect("nft");
    child.stdin.take().expect("a pipe").write_all(rules.as_bytes()).expect("the rules are written");
    assert!(child.wait().expect("nft ends").success(), "nft refused {rules}");
}

/// Ends the node at once, as a power cut does.
pub fn cut_power() {
    let pid = init();
    kill(pid);
    await_that("the node is off", || (!PathBuf::from(format!("/proc/{pid}")).exists()).then_some(()));
    await_that("the node is known to be off", || (state() == NodeState::Stopped).then_some(()));
}

/// Boots the node that was cut off.
pub fn restore_power() {
    local().start(node(), &Silent).expect("the node boots");
    await_running();
}

/// Shuts the node down in order and boots it.
pub fn reboot() {
    local().reboot(node(), &Silent).expect("the node reboots");
    await_running();
}

fn await_running() {
    await_that("the node runs", || (state() == NodeState::Running).then_some(()));
}

fn state() -> NodeState {
    local().get(node()).expect("the node is known").state
}

fn local() -> Local {
    Local::in_dir(World::local_dir())
}

struct Silent;

impl Progress for Silent {
    fn step(&self, _: &str) {}
    fn warning(&self, _: &str) {}
}
