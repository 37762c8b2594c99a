//! What can go wrong between here and a node.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Explain, Failure, Kind};

/// A failure to reach a node, to be let in, or to understand it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{node} refused every key offered for user {user:?} ({offered})")]
    AuthenticationRefused { node: String, user: String, offered: String },
    #[error("the connection to {node} broke: {reason}")]
    ConnectionLost { node: String, reason: String },
    #[error("the host key of {node} changed: known is {known}, it now shows {shown}")]
    HostKeyChanged { node: String, host: String, port: u16, known: String, shown: String },
    #[error("the host key of {node} is not known: {shown}")]
    HostKeyUnknown { node: String, host: String, port: u16, shown: String },
    #[error("the files cannot be sent to {node}: {reason}")]
    FilesUnread { node: String, reason: String },
    #[error("the node program could not be installed on {node}: {reason}")]
    InstallFailed { node: String, reason: String },
    #[error("{path} cannot be read: {reason}")]
    KnownHosts { path: PathBuf, reason: String },
    #[error("user {user:?} may not use sudo without a password on {node}")]
    NeedsSudo { node: String, user: String },
    #[error("{node} is not set up for cloudtool")]
    NotSetUp { node: String },
    #[error("{node} gave an answer that is none: {reason}")]
    Protocol { node: String, reason: String },
    #[error("{node} cannot be reached at {address}: {reason}")]
    Unreachable { node: String, address: String, reason: String },
    #[error(transparent)]
    Refused(#[from] Box<NodeError>),
}

impl Explain for Error {
    fn kind(&self) -> Kind {
        match self {
            Error::AuthenticationRefused { .. } | Error::NeedsSudo { .. } => Kind::Authentication,
            Error::ConnectionLost { .. }
            | Error::HostKeyChanged { .. }
            | Error::HostKeyUnknown { .. }
            | Error::Unreachable { .. } => Kind::Unreachable,
            Error::KnownHosts { .. }
            | Error::FilesUnread { .. }
            | Error::InstallFailed { .. }
            | Error::NotSetUp { .. }
            | Error::Protocol { .. } => Kind::Failed,
            Error::Refused(refused) => refused.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::AuthenticationRefused { user, .. } => format!(
                "add your public key to ~{user}/.ssh/authorized_keys on the node, name another key with --identity, or another user with --user; an encrypted key works through ssh-agent (ssh-add)"
            ),
            Error::ConnectionLost { .. } => {
                "the node finishes or undoes what it was doing; run the same command again".to_owned()
            }
            Error::HostKeyChanged { host, port, .. } => format!(
                "either the node was reinstalled, or somebody is between you and it. If you know why it changed: ssh-keygen -R '{}' and cloudtool forget-host-key {host}",
                bracketed(host, *port)
            ),
            Error::HostKeyUnknown { .. } => {
                "compare it with the node's own (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub there), then connect once from a terminal and say yes, or add it to ~/.ssh/known_hosts".to_owned()
            }
            Error::NeedsSudo { user, .. } => {
                format!("let {user} use sudo without a password (NOPASSWD), or name root with --user root")
            }
            Error::NotSetUp { node } => format!("run: cloudtool setup-node {node}"),
            Error::Unreachable { node, .. } => {
                format!("check that it runs (cloudtool list-nodes) and that port 22 is open: ssh {node} true")
            }
            Error::InstallFailed { node, .. } | Error::Protocol { node, .. } => {
                format!("run: cloudtool setup-node {node}")
            }
            Error::KnownHosts { .. } | Error::FilesUnread { .. } => return None,
            Error::Refused(refused) => return refused.hint.clone(),
        })
    }
}

impl Error {
    /// On its way to the user, with what the node said beside the sentence.
    pub fn into_failure(self) -> Failure {
        match self {
            Error::Refused(refused) => {
                let details = refused.detail_lines();
                Failure::from(Error::Refused(refused)).details(details)
            }
            other => other.into(),
        }
    }
}

/// A line of Apache's error log without the time, release, module, process and client that it begins with.
pub(crate) fn without_brackets(line: &str) -> &str {
    let mut rest = line;
    while let Some((bracket, after)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        if bracket.contains('[') {
            break;
        }
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    if rest.is_empty() { line } else { rest }
}

/// `host`, or `[host]:port` as known_hosts files write it.
pub(super) fn bracketed(host: &str, port: u16) -> String {
    if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") }
}

/// The `error` event of the node protocol (docs/architecture.md).
#[derive(Debug, Clone, Deserialize, thiserror::Error)]
#[error("{node}{message}")]
pub struct NodeError {
    /// Whose error it is, as the beginning of the sentence (`NODE: `); the protocol does not carry it.
    #[serde(skip)]
    pub node: String,
    pub code: String,
    pub message: String,
    pub hint: Option<String>,
    pub step: Option<String>,
    pub serving: Option<String>,
    #[serde(default)]
    pub details: Value,
}

impl NodeError {
    fn kind(&self) -> Kind {
        match self.code.as_str() {
            "busy" => Kind::Locked,
            "health-check" => Kind::HealthCheck,
            "bad-request" | "config" | "conflict" | "not-found" | "unsupported" => Kind::Usage,
            "aborted" => Kind::Cancelled,
            _ => Kind::Failed,
        }
    }

    /// What a person wants to see of `details`: the answer first, then the end of the logs.
    pub fn detail_lines(&self) -> Vec<String> {
        let text = |key: &str| self.details.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let mut lines = Vec::new();
        if let Some(status) = self.details.get("status").and_then(Value::as_u64) {
            lines.push(format!("status: {status}"));
        }
        if let Some(location) = text("location") {
            lines.push(format!("redirects to: {location}"));
        }
        if let Some(body) = text("body") {
            lines.push("the answer begins:".to_owned());
            lines.extend(body.lines().take(12).map(|line| format!("  {line}")));
        }
        for (key, title) in
            [("log", "the app's log ends:"), ("output", "its output ends:"), ("journal", "the journal ends:")]
        {
            if let Some(log) = self.details.get(key).and_then(Value::as_array).filter(|log| !log.is_empty()) {
                lines.push(title.to_owned());
                lines.extend(log.iter().filter_map(Value::as_str).map(|line| format!("  {}", without_brackets(line))));
            }
        }
        if let Some(file) = text("log_file") {
            lines.push(format!("the whole log on the node: {file}"));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_lose_what_apache_puts_before_them() {
        let line = "[2026-01-01 00:00:00.1] [v3] [wsgi:error] [pid 1] [client 127.0.0.1:0]   File \"app.py\", line 1";
        assert_eq!(without_brackets(line), "  File \"app.py\", line 1");
        assert_eq!(without_brackets("plain [1] text"), "plain [1] text");
        assert_eq!(without_brackets("[only] [brackets]"), "[only] [brackets]");
    }
}
