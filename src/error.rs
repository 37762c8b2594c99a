//! How failures reach the user: a kind (which decides the exit code), one sentence, and a hint that names the next command.
//!
//! Every area has its own enum with the facts. It implements [`Explain`], and [`Failure`] carries any of them up to `main`.

use std::fmt;

/// What went wrong, coarsely. Scripts see it as the exit code, `--json` as `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It failed; nothing was changed, or it was put back.
    Failed,
    /// The command line, `app.ini` or the user's configuration is wrong.
    Usage,
    /// `--plan --exit-code`: there is something to change.
    PlanHasChanges,
    /// Credentials were refused, by a cloud or by a node.
    Authentication,
    /// A node cannot be reached, or its host key is not the known one.
    Unreachable,
    /// Another deployer holds the lock.
    Locked,
    /// The new release failed its health check; the old one serves.
    HealthCheck,
    /// A question needs a person, and there is no terminal.
    NeedsPerson,
    /// The user cancelled.
    Cancelled,
    /// A cloud's API failed.
    Provider,
    /// `--expect`: the plan is no longer what an update would do. Nothing was changed.
    PlanOutdated,
    /// `diff`, which says 1 where there is a difference, could not compare.
    Trouble,
}

impl Kind {
    /// The process exit status, as documented in `docs/book/src/commands.md`.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Failed => 1,
            Kind::Usage | Kind::Trouble => 2,
            Kind::PlanHasChanges => 3,
            Kind::Authentication => 4,
            Kind::Unreachable => 5,
            Kind::Locked => 6,
            Kind::HealthCheck => 7,
            Kind::NeedsPerson => 8,
            Kind::Cancelled => 9,
            Kind::Provider => 10,
            Kind::PlanOutdated => 11,
        }
    }

    /// The kind behind an exit status of this program, for 2 the one of all commands; `None` for success and what it never ends with.
    pub fn of_exit_code(code: u8) -> Option<Self> {
        Kind::ALL.into_iter().find(|kind| kind.exit_code() == code)
    }

    const ALL: [Kind; 11] = [
        Kind::Failed,
        Kind::Usage,
        Kind::PlanHasChanges,
        Kind::Authentication,
        Kind::Unreachable,
        Kind::Locked,
        Kind::HealthCheck,
        Kind::NeedsPerson,
        Kind::Cancelled,
        Kind::Provider,
        Kind::PlanOutdated,
    ];

    /// The stable name in `--json` output.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Failed => "failed",
            Kind::Usage => "usage",
            Kind::PlanHasChanges => "plan-has-changes",
            Kind::Authentication => "authentication",
            Kind::Unreachable => "unreachable",
            Kind::Locked => "locked",
            Kind::HealthCheck => "health-check",
            Kind::NeedsPerson => "needs-person",
            Kind::Cancelled => "cancelled",
            Kind::Provider => "provider",
            Kind::PlanOutdated => "plan-outdated",
            Kind::Trouble => "trouble",
        }
    }
}

/// What an area's error must be able to say.
pub trait Explain: std::error::Error {
    fn kind(&self) -> Kind;

    /// The command or the change that mends it, as a sentence.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// Any area's error on its way to the user.
#[derive(Debug)]
pub struct Failure {
    pub kind: Kind,
    /// One sentence: what failed, on which node, why.
    pub message: String,
    /// One sentence: the command that mends it.
    pub hint: Option<String>,
    /// Lines that help to understand it: an answer, the end of a log.
    pub details: Vec<String>,
}

impl Failure {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Failure { kind, message: message.into(), hint: None, details: Vec::new() }
    }

    /// The end of a run whose failures have been told already: only the exit code is left to say.
    pub fn told_already(kind: Kind) -> Self {
        Failure::new(kind, "")
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !message.contains(&cause_text) {
                message = format!("{message}: {cause_text}");
            }
            source = cause.source();
        }
        Failure { kind: error.kind(), message, hint: error.hint(), details: Vec::new() }
    }
}
