//! The limit of memory of a node where this machine's process 1 is not systemd: a cgroup of our own around the whole node.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// (where the memory controller's groups are, the file of the limit), for cgroup version 1.
///
/// On version 2 systemd-nspawn needs a group delegated to it, which systemd does; without systemd there is no limit.
const CONTROLLER: &str = "/sys/fs/cgroup/memory";
const LIMIT: &str = "memory.limit_in_bytes";
const PARENT: &str = "cloudtool-local";

/// Makes the group of a container. Returns the file a process writes its id to in order to enter it; `None` where this
/// machine has no such controller.
pub fn limit(machine: &str, memory_mb: u64) -> Option<PathBuf> {
    let group = Path::new(CONTROLLER).join(PARENT).join(machine);
    let make = || -> io::Result<()> {
        if !Path::new(CONTROLLER).join(LIMIT).exists() {
            return Err(io::ErrorKind::NotFound.into());
        }
        fs::create_dir_all(&group)?;
        fs::write(group.join(LIMIT), (memory_mb << 20).to_string())
    };
    make().ok().map(|()| group.join("cgroup.procs"))
}

/// True when a size's limit is enforced on this machine.
pub fn is_enforced() -> bool {
    Path::new("/run/systemd/system").exists() || Path::new(CONTROLLER).join(LIMIT).exists()
}

/// Takes the group of a container that has ended away.
pub fn unlimit(machine: &str) {
    // Where there is none, or others still are in the parent, there is nothing to take away.
    let parent = Path::new(CONTROLLER).join(PARENT);
    let _ = fs::remove_dir(parent.join(machine));
    let _ = fs::remove_dir(parent);
}
