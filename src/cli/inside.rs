//! What `run`, `console` and `ssh APP` share: a program inside an app, connected to this one's standard input, output and error.

use std::io::Write;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::NodeChoice;
use super::context::Context;
use super::data::Target;
use super::uploads::{self, Upload};
use crate::error::{Failure, Kind};
use crate::node::{self, Ends, Error, Program, Session};
use crate::ui::{Terminal, give_back_terminal};

/// As a shell says of what Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// What is to run, and where.
pub(super) struct Wish<'a> {
    pub(super) target: &'a Target,
    pub(super) node: &'a NodeChoice,
    /// `words`, or what to `open`.
    pub(super) what: Value,
    /// With a terminal, where we have one.
    pub(super) terminal: bool,
    pub(super) uploads: Vec<Upload>,
}

/// Runs it; this program then ends with its exit status. Comes back only when it did not start.
pub(super) fn become_it(context: &Context, wish: Wish<'_>) -> Result<(), Failure> {
    let interrupts = Interrupts::watch()?;
    let status = perform(context, wish, &interrupts)?;
    std::process::exit(status);
}

fn perform(context: &Context, wish: Wish<'_>, interrupts: &Interrupts) -> Result<i32, Failure> {
    let mut request = wish.what;
    request["verb"] = json!("run");
    request["by"] = json!(context.by());
    request["program"] = json!(Program::version());
    request["files"] = json!(wish.uploads);
    let node = match wish.target {
        Target::App(app) => {
            request["app"] = json!(app);
            context.node(wish.node, Some(app), &[])?
        }
        Target::Location(location) => {
            request["location"] = json!(location);
            context.node(wish.node, None, std::slice::from_ref(location))?
        }
    };
    let mut session = context.session(&node)?;
    let terminal = if wish.terminal { Terminal::open() } else { None };
    let stdin = std::io::stdin();
    let attempt = |session: &mut Session| {
        let mut files = |wanted: &[usize], writer: &mut dyn Write| {
            let sent = uploads::send(&wish.uploads, wanted, &context.ui, writer);
            interrupts.pass_on();
            sent
        };
        if wish.uploads.is_empty() {
            interrupts.pass_on();
        }
        let ends = Ends {
            input: stdin.as_fd(),
            interrupts: interrupts.asked.as_fd(),
            terminal: terminal.as_ref().map(|terminal| terminal as &dyn node::Terminal),
            files: &mut files,
            on_output: &mut |output, piece| match context.ui.pass_on(output == node::Output::Stderr, piece) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            },
        };
        session.run_inside(&request, ends)
    };
    let outcome = match attempt(&mut session) {
        // A node with another version's program, which does not know the request.
        Err(Error::Refused(refused)) if ["program", "bad-request"].contains(&refused.code.as_str()) => {
            Program::install(&mut session)?;
            attempt(&mut session)
        }
        outcome => outcome,
    };
    // A reader that went away (`| head`) ends this as it does any filter.
    outcome.map(|status| status.unwrap_or(141)).map_err(Error::into_failure)
}

/// Ctrl-C: before the program runs it ends this one, then it is the program's, and a second time it ends both.
struct Interrupts {
    asked: UnixStream,
    passed_on: Arc<AtomicBool>,
}

impl Interrupts {
    fn watch() -> Result<Self, Failure> {
        let (mut ask, asked) = UnixStream::pair()
            .map_err(|error| Failure::new(Kind::Failed, format!("a pair of sockets cannot be made: {error}")))?;
        let passed_on = Arc::new(AtomicBool::new(false));
        let once = Arc::clone(&passed_on);
        let handler = move || {
            if !once.swap(false, Ordering::SeqCst) || ask.write_all(b"!").is_err() {
                give_back_terminal();
                std::process::exit(INTERRUPTED);
            }
        };
        // Without a handler the signal ends this program, and with it the other one.
        let _ = ctrlc::set_handler(handler);
        Ok(Interrupts { asked, passed_on })
    }

    /// From now on the next one is for the program that runs.
    fn pass_on(&self) {
        self.passed_on.store(true, Ordering::SeqCst);
    }
}
