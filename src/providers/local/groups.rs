//! The control groups of a node where this machine's process 1 is not systemd: around the whole node, of its own.
//!
//! In the groups that systemd names units by, nodes must not meet: the same unit of two nodes would be one group, which
//! neither could then end, as it would find processes in it that are not its own. In `memory` the group has the limit.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/cgroup";
/// Cgroup version 1: the controller of memory, then what systemd names units by. With version 2 alone systemd-nspawn needs
/// a group delegated to it, which systemd does; without systemd there is no limit.
const HIERARCHIES: [&str; 3] = [MEMORY, "systemd", "unified"];
const MEMORY: &str = "memory";
const LIMIT: &str = "memory.limit_in_bytes";
const PARENT: &str = "cloudtool-local";

/// Makes the groups of a node. Returns the files a process writes its id to in order to enter them; none where this
/// machine has no such hierarchies.
pub fn make(machine: &str, memory_mb: u64) -> Vec<PathBuf> {
    let make = |hierarchy: &str| -> io::Result<PathBuf> {
        let group = Path::new(ROOT).join(hierarchy).join(PARENT).join(machine);
        if !Path::new(ROOT).join(hierarchy).join("cgroup.procs").exists() {
            return Err(io::ErrorKind::NotFound.into());
        }
        fs::create_dir_all(&group)?;
        if hierarchy == MEMORY {
            fs::write(group.join(LIMIT), (memory_mb << 20).to_string())?;
        }
        Ok(group.join("cgroup.procs"))
    };
    HIERARCHIES.iter().filter_map(|hierarchy| make(hierarchy).ok()).collect()
}

/// True when a size's limit of memory is enforced on this machine.
pub fn memory_is_limited() -> bool {
    Path::new("/run/systemd/system").exists() || Path::new(ROOT).join(MEMORY).join(LIMIT).exists()
}

/// Takes the groups of a node that has ended away.
pub fn remove(machine: &str) {
    for hierarchy in HIERARCHIES {
        let parent = Path::new(ROOT).join(hierarchy).join(PARENT);
        remove_tree(&parent.join(machine));
        // Where there is none, or others still are in the parent, there is nothing to take away.
        let _ = fs::remove_dir(parent);
    }
}

/// A group and those in it; its files are the kernel's and go with it.
fn remove_tree(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    let _ = fs::remove_dir(group);
}
