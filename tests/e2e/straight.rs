//! Straight at the node program over SSH, past the client and all it checks.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::world::World;

/// A conversation with the node program.
pub struct Straight {
    child: Child,
    input: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// The version it says it has.
    pub program: String,
}

impl Straight {
    pub fn open(world: &World) -> Self {
        let mut child = world
            .ssh()
            .arg("/usr/local/lib/cloudtool/cloudtool-node")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ssh starts");
        let input = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut straight = Straight { child, input, answers, program: String::new() };
        let version = straight.call(&json!({"verb": "version", "by": "mallory@test"}));
        straight.program = version["program"].as_str().expect("a version").to_owned();
        straight
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        // The node program may end while it is sent something; the answer tells.
        let _ = self.input.as_mut().expect("it is open").write_all(bytes);
    }

    /// Everything up to the end of a request: its result or its error.
    pub fn answer(&mut self) -> Value {
        loop {
            let mut line = String::new();
            self.answers.read_line(&mut line).expect("it can be read");
            if line.is_empty() {
                let mut words = String::new();
                let _ = self.child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut words));
                panic!("the node program ended: {words}");
            }
            let event: Value = serde_json::from_str(&line).expect("every line is JSON");
            if event["event"] == "result" || event["event"] == "error" {
                return event;
            }
        }
    }

    pub fn call(&mut self, request: &Value) -> Value {
        self.send(format!("{request}\n").as_bytes());
        self.answer()
    }

    /// A request with a payload: framed, and ended as it must be.
    pub fn deploy(&mut self, request: &Value, payload: &[u8]) -> Value {
        self.send(format!("{request}\n").as_bytes());
        for chunk in payload.chunks(1 << 16) {
            self.send(&(chunk.len() as u32).to_be_bytes());
            self.send(chunk);
        }
        self.send(&[0; 4]);
        self.answer()
    }

    /// Ends the input in the middle of whatever it is; the answer, if there still is one.
    pub fn hang_up(mut self) -> Option<Value> {
        drop(self.input.take());
        let mut rest = String::new();
        self.answers.read_to_string(&mut rest).expect("it can be read");
        let ends = |event: &Value| event["event"] == "result" || event["event"] == "error";
        rest.lines().filter_map(|line| serde_json::from_str(line).ok()).find(ends)
    }
}

impl Drop for Straight {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// A request that deploys a static app with this manifest. It expects a live release there never is, so that even one
/// that is accepted changes nothing.
pub fn order(program: &str, app: &str, manifest: Value) -> Value {
    json!({
        "verb": "deploy", "by": "mallory@test", "program": program, "app": app, "digest": "0".repeat(64), "note": "",
        "expect": null, "force": false, "locations": [], "lock_timeout": 0, "keep": 5,
        "settings": {
            "platform": "static", "runner": null, "php_root": null, "packages": [], "requirements": null, "services": [],
            "update_fetch": [], "health_check": "/", "health_timeout": 5, "processes": 1, "threads": 2, "memory": null,
            "request_timeout": 60, "drain_timeout": 1, "env": {"A": "b"},
        },
        "slot_conf": "Nonsense\n", "manifest": manifest, "service_settings": {},
    })
}

pub fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

/// One entry of a manifest.
pub fn file(path: &str, content: &[u8]) -> Value {
    json!({"path": path, "mode": "0644", "size": content.len(), "sha256": sha256(content)})
}

/// One member of a tar, with whatever size its header claims.
pub fn member(kind: tar::EntryType, name: &str, claimed: u64, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    // Not set_path, which knows better than to write what an attacker would.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(claimed);
    header.set_mode(0o644);
    if kind.is_symlink() || kind.is_hard_link() {
        header.set_link_name("/etc/passwd").expect("a short name");
    }
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// A plain file, named by its content as it must be.
pub fn plain(content: &[u8]) -> Vec<u8> {
    member(tar::EntryType::Regular, &sha256(content), content.len() as u64, content)
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}
