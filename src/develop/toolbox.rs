//! The files of this binary that run on a developer's machine, below the user's cache directory.

use std::path::{Path, PathBuf};

use crate::error::{Failure, Kind};
use crate::node::Program;

/// Where they are.
#[derive(Debug, Clone)]
pub struct Toolbox {
    root: PathBuf,
}

impl Toolbox {
    /// Puts them there, once a version.
    pub fn unpack() -> Result<Self, Failure> {
        let root = cache()?.join(format!("program-{}", Program::version()));
        if !root.exists() {
            let failed = |error| Failure::new(Kind::Failed, format!("{} cannot be written: {error}", root.display()));
            let beside = root.with_extension(format!("new-{}", std::process::id()));
            Program::write_to(&beside).map_err(failed)?;
            // Somebody else may have been faster, with the same.
            if let Err(error) = std::fs::rename(&beside, &root)
                && !root.exists()
            {
                return Err(failed(error));
            }
            let _ = std::fs::remove_dir_all(beside);
        }
        Ok(Toolbox { root })
    }

    /// A file of `server-files/develop/`.
    pub fn develop(&self, name: &str) -> PathBuf {
        self.root.join("develop").join(name)
    }

    /// The folder of a service that this binary carries.
    pub fn service(&self, name: &str) -> PathBuf {
        self.root.join("services").join(name)
    }

    /// What the scripts of services share.
    pub fn modules(&self) -> PathBuf {
        self.root.join("develop")
    }
}

/// Where virtual environments are.
pub fn venvs() -> Result<PathBuf, Failure> {
    Ok(cache()?.join("venvs"))
}

fn cache() -> Result<PathBuf, Failure> {
    let dir = std::env::var_os("CLOUDTOOL_CACHE_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let dir = dir.or_else(|| Some(dirs::cache_dir()?.join("cloudtool"))).ok_or_else(|| {
        Failure::new(Kind::Usage, "there is no home directory to keep a cache in")
            .hint("name a directory in the variable CLOUDTOOL_CACHE_DIR")
    })?;
    std::fs::create_dir_all(&dir)
        .map_err(|error| Failure::new(Kind::Usage, format!("{} cannot be made: {error}", dir.display())))?;
    Ok(absolute(&dir))
}

fn absolute(dir: &Path) -> PathBuf {
    dir.canonicalize().unwrap_or_else(|_| dir.to_owned())
}
