//! A node's container: systemd-nspawn, started so that it outlives us, found again in `/proc`, ended in order or by force.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use super::catalog::{self, Release};
use super::error::LocalError;
use super::groups;
use super::network;
use super::state::{Record, StateDir};
use super::tools;

/// How long a node may take to shut down before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the kernel may take to end killed processes.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long systemd-nspawn may take until the node's own systemd runs.
const START_TIMEOUT: Duration = Duration::from_secs(20);

const POLL: Duration = Duration::from_millis(20);

/// The processes of a running node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// systemd-nspawn.
    supervisor: Pid,
    /// The node's process 1, once it is there.
    init: Option<Pid>,
}

/// The node's processes, or `None` when it does not run. Asks the kernel, so nothing has to be remembered.
pub fn find(state: &StateDir, name: &str) -> Option<Running> {
    let marker = directory_argument(state, name);
    let all = processes();
    let is_ours = |process: &&Process| {
        let command = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
        let mut arguments = command.split(|byte| *byte == 0);
        arguments.next().is_some_and(|program| program.ends_with(b"systemd-nspawn"))
            && arguments.any(|argument| argument == marker.as_bytes())
    };
    let ours: Vec<&Process> = all.iter().filter(is_ours).collect();
    // While it starts, systemd-nspawn has children of the same command line.
    let supervisor = ours.iter().find(|process| ours.iter().all(|other| other.pid != process.parent))?.pid;
    let init = all.iter().find(|process| process.parent == supervisor && process.name == "systemd");
    Some(Running { supervisor: Pid::from_raw(supervisor)?, init: init.and_then(|process| Pid::from_raw(process.pid)) })
}

/// True when sshd listens on the node and the node has its address. Looks through `/proc`: sshd is not bothered.
pub fn answers(running: Running, record: &Record) -> bool {
    let Some(init) = running.init else { return false };
    let read = |file: &str| fs::read_to_string(format!("/proc/{}/net/{file}", init.as_raw_pid())).unwrap_or_default();
    let listens = |table: &str| {
        // "sl local_address rem_address st": port 22 is 0016, state 0A is LISTEN.
        read(table).lines().any(|line| {
            let mut words = line.split_whitespace().skip(1);
            words.next().is_some_and(|local| local.ends_with(":0016")) && words.nth(1) == Some("0A")
        })
    };
    (listens("tcp") || listens("tcp6")) && read("fib_trie").contains(&format!("-- {}\n", record.address))
}

/// Boots the node, detached from this process and its terminal. Returns as soon as the node's systemd runs.
pub fn boot(state: &StateDir, record: &Record, release: &Release) -> Result<(), LocalError> {
    let dir = state.node(&record.name);
    let console_path = dir.join("console.log");
    let console = File::options()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&console_path)
        .map_err(LocalError::io(format!("cannot write {}", console_path.display())))?;
    let errors = console.try_clone().map_err(LocalError::io("cannot start systemd-nspawn"))?;
    let mut command = launcher(record);
    command.arg("systemd-nspawn").args(nspawn_arguments(state, record));
    if release.needs_unified_cgroups {
        command.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1");
    }
    tracing::debug!(?command, "boot");
    let status = command.stdin(Stdio::null()).stdout(console).stderr(errors).status();
    let status = status.map_err(LocalError::io("cannot start systemd-nspawn"))?;

    let failed = || {
        let console = fs::read(&console_path).unwrap_or_default();
        let console = tools::last_lines(&String::from_utf8_lossy(&console), 5);
        LocalError::Boot { name: record.name.clone(), console }
    };
    if !status.success() {
        return Err(failed());
    }
    let start = Instant::now();
    let mut seen = false;
    loop {
        match find(state, &record.name) {
            Some(Running { init: Some(_), .. }) => return Ok(()),
            Some(_) => seen = true,
            None if seen || start.elapsed() > Duration::from_secs(2) => return Err(failed()),
            None => {}
        }
        if start.elapsed() > START_TIMEOUT {
            return Err(failed());
        }
        sleep(POLL);
    }
}

/// What starts systemd-nspawn so that it goes on without us, in groups of its own, with the size's limit of memory.
fn launcher(record: &Record) -> Command {
    let memory_mb = catalog::memory_mb(&record.size).unwrap_or(u64::MAX >> 20);
    if Path::new("/run/systemd/system").exists() {
        let mut command = tools::program("systemd-run");
        command.args(["--quiet", "--collect", "--property=Delegate=yes", "--property=KillMode=mixed"]);
        command.arg(format!("--unit=cloudtool-local-{}", record.machine()));
        command.arg(format!("--property=MemoryMax={memory_mb}M"));
        if catalog::Release::by_id(&record.image).is_some_and(|release| release.needs_unified_cgroups) {
            command.arg("--setenv=SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1");
        }
        return command;
    }
    // The shell moves itself into the groups before it becomes setsid; its text is constant.
    let mut command = tools::program("sh");
    command.args(["-c", r#"while [ "$1" != -- ]; do echo $$ >"$1" || exit 1; shift; done; shift; exec "$@""#, "sh"]);
    command.args(groups::make(&record.machine(), memory_mb)).args(["--", "setsid"]);
    command.arg("--fork");
    command
}

fn nspawn_arguments(state: &StateDir, record: &Record) -> Vec<String> {
    vec![
        "--quiet".into(),
        "--boot".into(),
        directory_argument(state, &record.name),
        format!("--machine={}", record.machine()),
        format!("--hostname={}", record.name),
        format!("--network-bridge={}", network::bridge(record.network)),
        "--register=no".into(),
        "--keep-unit".into(),
        "--resolv-conf=off".into(),
        "--timezone=off".into(),
        "--link-journal=no".into(),
        // What process 1 is sent when systemd-nspawn is told to end: power off.
        "--kill-signal=SIGRTMIN+4".into(),
    ]
}

/// Shuts the node down in order; kills it when that takes too long. Nothing to do when it does not run.
pub fn stop(state: &StateDir, name: &str) -> Result<(), LocalError> {
    if let Some(running) = find(state, name) {
        signal(running.supervisor, Signal::TERM)?;
        if wait_for_end(state, name, STOP_TIMEOUT) {
            return Ok(());
        }
    }
    kill(state, name)
}

/// Ends the node at once: all its processes are killed. Nothing to do when it does not run.
pub fn kill(state: &StateDir, name: &str) -> Result<(), LocalError> {
    let start = Instant::now();
    while let Some(running) = find(state, name) {
        if start.elapsed() > KILL_TIMEOUT {
            return Err(LocalError::StillRunning(name.to_owned()));
        }
        match running.init {
            // The death of its process 1 ends the whole node; systemd-nspawn then clears up behind it and ends too.
            Some(init) => signal(init, Signal::KILL)?,
            None => signal(running.supervisor, Signal::KILL)?,
        }
        if !wait_for_end(state, name, Duration::from_secs(2)) {
            signal(running.supervisor, Signal::KILL)?;
        }
    }
    Ok(())
}

fn wait_for_end(state: &StateDir, name: &str, timeout: Duration) -> bool {
    let start = Instant::now();
    while start.elapsed() < timeout {
        if find(state, name).is_none() {
            return true;
        }
        sleep(POLL);
    }
    false
}

fn signal(pid: Pid, signal: Signal) -> Result<(), LocalError> {
    match kill_process(pid, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(errno) => Err(LocalError::Io { what: format!("cannot end process {pid}"), source: errno.into() }),
    }
}

/// By this argument a node's systemd-nspawn is known among all processes.
fn directory_argument(state: &StateDir, name: &str) -> String {
    format!("--directory={}", state.node(name).join("root").display())
}

struct Process {
    pid: i32,
    parent: i32,
    name: String,
}

/// Every process of this machine.
fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // "PID (NAME) STATE PPID ...": the name may have blanks and parentheses in it.
            let (start, rest) = stat.rsplit_once(") ")?;
            let parent = rest.split(' ').nth(1)?.parse().ok()?;
            Some(Process { pid, parent, name: start.split_once('(')?.1.to_owned() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_have_parents() {
        let me = std::process::id() as i32;
        let parent = std::os::unix::process::parent_id() as i32;
        assert!(processes().iter().any(|process| process.pid == me && process.parent == parent));
    }

    #[test]
    fn a_node_that_does_not_run_is_not_found() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir { root: dir.path().to_owned() };
        assert_eq!(find(&state, "nobody"), None);
        kill(&state, "nobody").unwrap();
    }
}
