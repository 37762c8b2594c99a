//! cloudtool's own `known_hosts`, in OpenSSH's format, so that `ssh -o UserKnownHostsFile=...` reads it too.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::error::{Error, Result};
use super::open::Inventory;

/// The file `known_hosts` in cloudtool's data directory.
#[derive(Debug, Clone)]
pub struct KnownHosts {
    path: PathBuf,
}

impl KnownHosts {
    /// The one in [`Inventory::default_dir`]. The file need not exist yet.
    pub fn open() -> Result<Self> {
        Ok(Self::open_in(&Inventory::default_dir()?))
    }

    /// The one in `dir`.
    pub fn open_in(dir: &Path) -> Self {
        KnownHosts { path: dir.join("known_hosts") }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The host keys pinned for a host (`type base64`), none when the host is unknown.
    pub fn keys(&self, host: &str, port: u16) -> Result<Vec<String>> {
        let name = entry_name(host, port);
        Ok(lines(&self.read()?).filter(|(host, _)| *host == name).map(|(_, key)| key.to_owned()).collect())
    }

    /// From now on exactly these keys (OpenSSH lines `type base64 [comment]`) are the host's.
    pub fn pin<K: AsRef<str>>(&self, host: &str, port: u16, keys: &[K]) -> Result<()> {
        let name = entry_name(host, port);
        self.change(|text| {
            let mut new = without(text, &name);
            for key in keys {
                let mut words = key.as_ref().split_whitespace();
                if let (Some(kind), Some(base64)) = (words.next(), words.next()) {
                    new.push_str(&format!("{name} {kind} {base64}\n"));
                }
            }
            new
        })
    }

    /// Forgets a host's keys; it is no error when there are none.
    pub fn forget(&self, host: &str, port: u16) -> Result<()> {
        if !self.path.exists() {
            return Ok(());
        }
        let name = entry_name(host, port);
        self.change(|text| without(text, &name))
    }

    fn read(&self) -> Result<String> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(source) => Err(Error::File { path: self.path.clone(), source }),
        }
    }

    /// Writes the file anew, by rename, under a lock.
    fn change(&self, edit: impl FnOnce(&str) -> String) -> Result<()> {
        let file_error = |source| Error::File { path: self.path.clone(), source };
        let dir = self.path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(file_error)?;
        let lock = File::options().create(true).truncate(false).write(true).open(dir.join("known_hosts.lock"));
        let lock = lock.map_err(file_error)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|errno| file_error(errno.into()))?;

        let new = edit(&self.read()?);
        let mut file = tempfile::NamedTempFile::new_in(dir).map_err(file_error)?;
        file.write_all(new.as_bytes()).map_err(file_error)?;
        file.persist(&self.path).map_err(|error| file_error(error.error))?;
        Ok(())
    }
}

/// How OpenSSH writes a host: bare on port 22, `[host]:port` elsewhere; lower case.
fn entry_name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

/// (hosts, key) of every line that is an entry.
fn lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '))
}

/// The text without the entries of one host. Other lines stay as they are.
fn without(text: &str, name: &str) -> String {
    text.lines()
        .filter(|line| line.split_once(' ').is_none_or(|(host, _)| host != name))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinning_replaces_and_forgetting_removes() {
        let dir = tempfile::tempdir().unwrap();
        let hosts = KnownHosts::open_in(&dir.path().join("new"));
        assert!(hosts.keys("a", 22).unwrap().is_empty());
        hosts.forget("a", 22).unwrap();
        hosts.pin("A", 22, &["ssh-ed25519 AAA1 root@a", "ssh-rsa AAA2"]).unwrap();
        hosts.pin("a", 2222, &["ssh-ed25519 AAA3"]).unwrap();
        assert_eq!(
            fs::read_to_string(hosts.path()).unwrap(),
            "a ssh-ed25519 AAA1\na ssh-rsa AAA2\n[a]:2222 ssh-ed25519 AAA3\n"
        );
        hosts.pin("a", 22, &["ssh-ed25519 AAA4"]).unwrap();
        assert_eq!(hosts.keys("a", 22).unwrap(), ["ssh-ed25519 AAA4"]);
        hosts.forget("a", 22).unwrap();
        assert_eq!(fs::read_to_string(hosts.path()).unwrap(), "[a]:2222 ssh-ed25519 AAA3\n");
    }

    #[test]
    fn lines_of_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let hosts = KnownHosts::open_in(dir.path());
        fs::write(hosts.path(), "# mine\n@revoked * ssh-rsa X\nb ssh-rsa Y\n").unwrap();
        hosts.pin("c", 22, &["ssh-rsa Z"]).unwrap();
        hosts.forget("b", 22).unwrap();
        assert_eq!(fs::read_to_string(hosts.path()).unwrap(), "# mine\n@revoked * ssh-rsa X\nc ssh-rsa Z\n");
    }
}
