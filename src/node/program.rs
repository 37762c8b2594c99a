//! The node program: what the binary carries, its version, and how it gets onto a node.

use std::fs::Permissions;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

use super::error::Error;
use super::outgoing::Outgoing;
use super::session::Session;

static SERVER_FILES: Dir = include_dir!("$CARGO_MANIFEST_DIR/server-files");
static SERVICES: Dir = include_dir!("$CARGO_MANIFEST_DIR/services");

/// The files that are put on a node, embedded in this binary.
pub struct Program;

impl Program {
    /// A hash of all files: two clients with the same version put the same on a node.
    pub fn version() -> &'static str {
        static VERSION: OnceLock<String> = OnceLock::new();
        VERSION.get_or_init(|| {
            let mut hash = Sha256::new();
            for (path, content) in files() {
                hash.update(format!("{path}\0{}\0", content.len()));
                hash.update(content);
            }
            hex::encode(hash.finalize())[..16].to_owned()
        })
    }

    /// The command that starts it, for a user of the node.
    pub fn command(user: &str) -> &'static str {
        if user == "root" {
            "/usr/local/lib/cloudtool/cloudtool-node"
        } else {
            "sudo -n /usr/local/lib/cloudtool/cloudtool-node"
        }
    }

    /// The names of the services this binary knows: the folders under `services/`.
    pub fn services() -> Vec<String> {
        let mut names: Vec<String> = SERVICES.dirs().map(|dir| dir.path().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Whether the folder of a service has this file.
    pub fn service_has(name: &str, file: &str) -> bool {
        SERVICES.get_file(format!("{name}/{file}")).is_some()
    }

    /// A service's `service.ini`.
    pub fn service_description(name: &str) -> Option<&'static str> {
        SERVICES.get_file(format!("{name}/service.ini"))?.contents_utf8()
    }

    /// A file of `server-files/` that the client renders itself.
    pub fn template(path: &str) -> Option<&'static str> {
        SERVER_FILES.get_file(path)?.contents_utf8()
    }

    /// Writes all of it into a new directory of this machine.
    pub fn write_to(dir: &Path) -> std::io::Result<()> {
        for (path, content) in files() {
            let to = dir.join(path);
            std::fs::create_dir_all(to.parent().unwrap_or(dir))?;
            std::fs::write(&to, content)?;
            std::fs::set_permissions(&to, Permissions::from_mode(mode(content)))?;
        }
        Ok(())
    }

    /// Puts the program of this binary on the node, in one round trip. The old one, if there is one, is exchanged at the end.
    pub fn install(session: &mut Session) -> Result<(), Error> {
        let fail = |reason: String| Error::InstallFailed { node: session.node().to_owned(), reason };
        let Some(script) = Self::template("bootstrap.sh") else {
            return Err(fail("this binary carries no bootstrap.sh".to_owned()));
        };
        let archive = archive().map_err(|error| fail(error.to_string()))?;
        let mut channel = session.ssh.channel_session().map_err(|error| session.lost(error))?;
        let shell = if session.destination().user == "root" { "sh" } else { "sudo -n sh" };
        let mut run = || -> std::io::Result<(i32, String)> {
            channel.exec(&format!("{shell} -c {}", quote(script)))?;
            Outgoing::new(&session.ssh, &channel).write_all(&archive)?;
            channel.send_eof()?;
            let mut output = String::new();
            channel.read_to_string(&mut output)?;
            let mut words = String::new();
            channel.stderr().read_to_string(&mut words)?;
            channel.wait_close()?;
            Ok((channel.exit_status()?, words))
        };
        let outcome = run();
        session.count_round_trip();
        match outcome {
            Ok((0, _)) => Ok(()),
            Ok((1, words)) if words.starts_with("sudo:") => {
                Err(Error::NeedsSudo { node: session.node().to_owned(), user: session.destination().user.clone() })
            }
            Ok((status, words)) => Err(Error::InstallFailed {
                node: session.node().to_owned(),
                reason: format!("status {status}: {}", words.trim().lines().last().unwrap_or("no message")),
            }),
            Err(error) => Err(session.lost(error)),
        }
    }
}

/// Everything that travels, sorted: path on the node below /usr/local/lib/cloudtool, content.
fn files() -> Vec<(String, &'static [u8])> {
    let mut files = Vec::new();
    collect(&SERVER_FILES, "", &mut files);
    collect(&SERVICES, "services/", &mut files);
    files.sort();
    files
}

fn collect(dir: &'static Dir, prefix: &str, files: &mut Vec<(String, &'static [u8])>) {
    for file in dir.files() {
        let path = format!("{prefix}{}", file.path().display());
        if travels(&path) {
            files.push((path, file.contents()));
        }
    }
    for dir in dir.dirs() {
        collect(dir, prefix, files);
    }
}

/// Tests, bytecode and what the client renders or runs itself stay here.
fn travels(path: &str) -> bool {
    !path.contains("/tests/") && !path.contains("__pycache__") && !path.ends_with(".hbs") && path != "bootstrap.sh"
}

fn archive() -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let version = format!("{}\n", Program::version());
    for (path, content) in std::iter::once(("VERSION".to_owned(), version.as_bytes())).chain(files()) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode(content));
        tar.append_data(&mut header, path, content)?;
    }
    tar.into_inner()?.finish()
}

/// What begins like a script is one.
fn mode(content: &[u8]) -> u32 {
    if content.starts_with(b"#!") { 0o755 } else { 0o644 }
}

/// One word of a POSIX shell. Only constants of ours go through here.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_holds_program_and_services() {
        let paths: Vec<String> = files().into_iter().map(|(path, _)| path).collect();
        for path in ["cloudtool-node", "node/__main__.py", "services/files/service.ini"] {
            assert!(paths.iter().any(|p| p == path), "{path} is missing");
        }
        assert!(paths.iter().all(|path| travels(path)));
        assert_eq!(Program::version().len(), 16);
    }
}
