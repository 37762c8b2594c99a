//! The programs of Debian this provider works with, and running them. No shell: arguments are given one by one.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::error::LocalError;
use crate::providers::Progress;

/// A program, and the Debian package it is in.
const PROGRAMS: &[(&str, &str)] = &[
    ("systemd-nspawn", "systemd-container"),
    ("mmdebstrap", "mmdebstrap"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("ssh-keygen", "openssh-client"),
];

/// The Debian packages that have all the programs.
pub const PACKAGES: &[&str] = &["systemd-container", "mmdebstrap", "iproute2", "nftables", "openssh-client"];

/// Where programs are looked for: `sbin` is not on every user's PATH.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Installs the missing programs with apt-get, where there is one.
pub fn require(progress: &dyn Progress) -> Result<(), LocalError> {
    let missing: Vec<_> = PROGRAMS.iter().filter(|(program, _)| !installed(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !installed("apt-get") {
        return Err(LocalError::MissingPrograms(missing.iter().map(|(program, _)| *program).collect()));
    }
    let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    progress.step(&format!("installing {}", packages.join(", ")));
    install(&packages)
}

/// `apt-get install`, with a fresh package list.
pub fn install(packages: &[&str]) -> Result<(), LocalError> {
    let apt = || {
        let mut apt = program("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-y"]);
        apt
    };
    run(apt().arg("update"))?;
    run(apt().args(["install", "--no-install-recommends"]).args(packages))?;
    Ok(())
}

/// The Debian packages of the programs that are not there.
pub fn missing() -> Vec<&'static str> {
    PROGRAMS.iter().filter(|(program, _)| !installed(program)).map(|(_, package)| *package).collect()
}

fn installed(program: &str) -> bool {
    PATH.split(':').any(|dir| Path::new(dir).join(program).is_file())
}

/// A program to run in a small, known environment: nothing of the user's (tokens, locale) reaches it.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env_clear().env("PATH", PATH).env("LC_ALL", "C.UTF-8").env("HOME", "/root").current_dir("/");
    for proxy in ["http_proxy", "https_proxy", "no_proxy"] {
        if let Some(value) = std::env::var_os(proxy) {
            command.env(proxy, value);
        }
    }
    command
}

/// A program that is told to end (SIGTERM) when this process is killed: what it makes is of no use then.
pub fn helper(name: &str) -> Command {
    let mut command = program("setpriv");
    command.args(["--pdeathsig", "TERM", "--", name]);
    command
}

/// Runs to the end. Standard output, or [`LocalError::Command`] with the last lines of both outputs.
pub fn run(command: &mut Command) -> Result<String, LocalError> {
    run_with_input(command, "")
}

/// [`run`] with something on standard input.
pub fn run_with_input(command: &mut Command, input: &str) -> Result<String, LocalError> {
    // A `helper` is named by what setpriv runs.
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let skip = if command.get_program() == "setpriv" { 4 } else { 0 };
    let name = words.map(|word| word.to_string_lossy().into_owned()).nth(skip).unwrap_or_default();
    tracing::debug!(?command, "run");
    let failed = |source| LocalError::Io { what: format!("cannot run {name}"), source };
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading says why by its exit status.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let words = last_lines(if stderr.trim().is_empty() { &stdout } else { &stderr }, 5);
    let words = if words.is_empty() { output.status.to_string() } else { words };
    Err(LocalError::Command { program: name, output: words })
}

/// `ip` with arguments.
pub fn ip<A: AsRef<OsStr>>(arguments: &[A]) -> Result<String, LocalError> {
    run(program("ip").args(arguments))
}

/// The end of a text, on one line.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_has_its_package() {
        assert!(PROGRAMS.iter().map(|(_, package)| package).eq(PACKAGES));
    }

    #[test]
    fn a_failure_says_the_last_lines() {
        for mut ls in [program("ls"), helper("ls")] {
            let error = run(ls.arg("/no/such/place")).unwrap_err();
            assert!(error.to_string().starts_with("ls failed: "), "{error}");
            assert!(error.to_string().contains("/no/such/place"), "{error}");
        }
        assert!(run(&mut program("no-such-program")).is_err());
    }

    #[test]
    fn input_arrives_and_the_environment_is_small() {
        assert_eq!(run_with_input(&mut program("cat"), "hello").unwrap(), "hello");
        let seen = run(&mut program("env")).unwrap();
        assert!(
            seen.lines().all(|line| ["PATH=", "LC_ALL=", "HOME=", "http", "no_p"].iter().any(|p| line.starts_with(p)))
        );
    }
}
