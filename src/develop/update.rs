//! `update_fetch` on a developer's machine: what an update of the app would run, before it serves.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use super::{Ready, Workshop, http, words};
use crate::config::Fetch;
use crate::error::{Failure, Kind};

/// How much of an answer is shown.
const BODY: usize = 2000;

/// The scripts before the first fetch: they run before the app is started.
pub fn before_start(workshop: &Workshop, ready: &Ready) -> Result<(), Failure> {
    let entries = &ready.config.settings.update_fetch;
    entries
        .iter()
        .map_while(|entry| if let Fetch::Script(words) = entry { Some(words) } else { None })
        .try_for_each(|words| script(workshop, ready, words))
}

/// The rest, against the app that listens on `port`.
pub fn after_start(workshop: &Workshop, ready: &Ready, port: Option<u16>, mount: &str) -> Result<(), Failure> {
    let entries = &ready.config.settings.update_fetch;
    let later = entries.iter().skip_while(|entry| matches!(entry, Fetch::Script(_)));
    later.into_iter().try_for_each(|entry| match (entry, port) {
        (Fetch::Script(words), _) => script(workshop, ready, words),
        (Fetch::Fetch(path), Some(port)) => fetch(workshop, ready, path, port, mount),
        // A file is there without being fetched.
        (Fetch::Fetch(_), None) => Ok(()),
    })
}

fn script(workshop: &Workshop, ready: &Ready, said: &[String]) -> Result<(), Failure> {
    let called = said.join(" ");
    workshop.told.step(&format!("update_fetch: script:{called}"));
    let words = words::resolve(workshop.dir(), said, ready.config.settings.platform)?;
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).current_dir(workshop.dir()).envs(&ready.variables).stdin(Stdio::null());
    let output = command
        .output()
        .map_err(|error| Failure::new(Kind::Failed, format!("update_fetch: {} cannot be run: {error}", words[0])))?;
    workshop.told.output(&output.stdout);
    workshop.told.output(&output.stderr);
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let message = format!("update_fetch: script:{called} has ended with {}", super::child::describe(output.status));
    Err(Failure::new(Kind::Failed, message)
        .hint("correct it: whatever you save, it is run again")
        .details(text.lines().map(str::to_owned).collect()))
}

fn fetch(workshop: &Workshop, ready: &Ready, path: &str, port: u16, mount: &str) -> Result<(), Failure> {
    workshop.told.step(&format!("update_fetch: {path}"));
    let failed = |reason: String| Failure::new(Kind::Failed, format!("update_fetch: {path} {reason}"));
    let secret = std::fs::read_to_string(workshop.place.secret()).map_err(|error| failed(error.to_string()))?;
    let script = ready.config.settings.runner.as_ref().and_then(|runner| runner.file()).unwrap_or_default();
    let mut headers = http::Headers::new();
    let mut say = |name: &str, value: &str| headers.push((name.to_owned(), value.as_bytes().to_owned()));
    say("Host", "localhost");
    say("Connection", "close");
    say("X-Cloudtool-Update", &secret);
    say("X-Cloudtool-Script", script);
    say("X-Forwarded-For", "127.0.0.1");
    say("X-Forwarded-Host", "localhost");
    say("X-Forwarded-Proto", "http");
    if !mount.is_empty() {
        say("X-Cloudtool-Mount", mount);
    }
    let mut body = Vec::new();
    let asked = TcpStream::connect(("127.0.0.1", port)).and_then(|mut stream| {
        stream.write_all(&http::head(&format!("GET {path} HTTP/1.1"), &headers))?;
        let head = http::read_answer(&mut stream, &mut body)?;
        stream.read_to_end(&mut body)?;
        Ok(head.map(|head| head.status).unwrap_or_default())
    });
    let status = asked.map_err(|error| failed(format!("was not answered: {error}")))?;
    let body = String::from_utf8_lossy(&body);
    let shown: Vec<String> = body.chars().take(BODY).collect::<String>().lines().map(str::to_owned).collect();
    if (200..400).contains(&status) {
        shown.iter().for_each(|line| workshop.told.output(format!("{line}\n").as_bytes()));
        return Ok(());
    }
    Err(failed(format!("was answered with {status}")).details(shown))
}
