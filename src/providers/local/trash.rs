//! Disks of destroyed nodes. To free a disk's thousands of files takes up to half a minute where the file system discards
//! blocks at once (measured: 19 to 30 s for 260 MB; 2 s elsewhere), so a destroyed node's directory is only renamed, and a
//! process of its own does the rest.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::error::LocalError;
use super::state::StateDir;
use super::tools;

/// Moves a node's directory out of the way; [`empty`] frees it.
pub fn discard(state: &StateDir, name: &str) -> Result<(), LocalError> {
    let dir = state.node(name);
    let failed = || LocalError::io(format!("cannot remove {}", dir.display()));
    let trash = trash(state);
    DirBuilder::new().recursive(true).mode(0o700).create(&trash).map_err(failed())?;
    let place = (0..u32::MAX).map(|n| trash.join(format!("{name}.{n}"))).find(|place| !place.exists());
    fs::rename(&dir, place.unwrap_or(trash)).map_err(failed())
}

/// Starts to free everything in the trash, also what an earlier, interrupted removal left. Does not wait for it.
pub fn empty(state: &StateDir) -> Result<(), LocalError> {
    let Ok(entries) = fs::read_dir(trash(state)) else { return Ok(()) };
    let paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    if paths.is_empty() {
        return Ok(());
    }
    let mut command = tools::program("setsid");
    command.args(["--fork", "nice", "rm", "-rf", "--one-file-system", "--"]).args(paths);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().map_err(LocalError::io("cannot start rm"))?;
    Ok(())
}

fn trash(state: &StateDir) -> PathBuf {
    Path::new(&state.root).join("trash")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn what_is_discarded_disappears() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir { root: dir.path().to_owned() };
        for _ in 0..2 {
            fs::create_dir_all(state.node("n").join("root/etc")).unwrap();
            discard(&state, "n").unwrap();
            assert!(!state.node("n").exists());
        }
        assert_eq!(fs::read_dir(trash(&state)).unwrap().count(), 2);
        empty(&state).unwrap();
        let start = Instant::now();
        while fs::read_dir(trash(&state)).unwrap().count() > 0 {
            assert!(start.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
