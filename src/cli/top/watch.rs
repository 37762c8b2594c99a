//! Asks one node again and again, over one session. A thread that nobody waits for: the end of the program is its end.

use std::cell::RefCell;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::view::Update;
use crate::cli::context::Context;
use crate::deploy::Remote;
use crate::error::Failure;
use crate::inventory::NodeRecord;
use crate::node::{Error, Event, without_brackets};

const PAUSE: Duration = Duration::from_secs(2);
/// As many records of an app's log as a screen may show.
const RECORDS: u32 = 100;

/// The app whose last errors are wanted.
type Wish = Option<String>;

pub(super) struct Watch {
    wishes: Sender<Wish>,
    wished: RefCell<Wish>,
}

impl Watch {
    /// `number`: of the node, for the updates.
    pub(super) fn start(context: Context, number: usize, node: NodeRecord, seen: Sender<Update>) -> Self {
        let (wishes, receiver) = mpsc::channel();
        thread::spawn(move || Asking { context, number, node, seen, wishes: receiver }.go_on());
        Watch { wishes, wished: RefCell::default() }
    }

    /// From now on the last errors of this app are wanted, too.
    pub(super) fn wish(&self, app: Wish) {
        if *self.wished.borrow() != app {
            // A thread that has ended wants nothing any more.
            let _ = self.wishes.send(app.clone());
            self.wished.replace(app);
        }
    }
}

struct Asking {
    context: Context,
    number: usize,
    node: NodeRecord,
    seen: Sender<Update>,
    wishes: Receiver<Wish>,
}

impl Asking {
    fn go_on(self) {
        let (mut remote, mut wish) = (None, None);
        loop {
            match self.ask(&mut remote, wish.as_deref()) {
                Ok(()) => {}
                Err(failure) => {
                    // It may be another connection that goes through.
                    remote = None;
                    self.tell(Update::Away { node: self.number, why: failure.message });
                }
            }
            match self.wishes.recv_timeout(PAUSE) {
                Ok(newer) => wish = self.wishes.try_iter().last().unwrap_or(newer),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn ask(&self, remote: &mut Option<Remote>, wish: Option<&str>) -> Result<(), Failure> {
        let remote = match remote {
            Some(remote) => remote,
            None => remote.insert(self.context.connect(&self.node)?),
        };
        let answer = call(remote, json!({"verb": "status", "filter": []}), &mut |_| {})?;
        self.tell(Update::Status { node: self.number, answer });
        if let Some(app) = wish {
            let mut lines = Vec::new();
            let request = json!({"verb": "logs", "app": app, "streams": ["app", "process"], "lines": RECORDS});
            call(remote, request, &mut |event| {
                if let Event::Line { at, line, .. } = event {
                    lines.push(short(at.as_deref(), &line));
                }
            })?;
            self.tell(Update::Errors { node: self.number, app: app.to_owned(), lines });
        }
        Ok(())
    }

    fn tell(&self, update: Update) {
        // Nobody listens any more when the program is about to end.
        let _ = self.seen.send(update);
    }
}

fn call(remote: &mut Remote, request: Value, on_event: &mut dyn FnMut(Event)) -> Result<Value, Failure> {
    remote.call(request, on_event).map_err(Error::into_failure)
}

/// A record with the time of the day, and without what Apache puts before each line.
fn short(at: Option<&str>, record: &str) -> String {
    let clock = at.and_then(|at| at.get(11..19)).map(|clock| format!("{clock} ")).unwrap_or_default();
    let lines: Vec<&str> = record.lines().map(without_brackets).collect();
    format!("{clock}{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_as_short_as_they_can_be() {
        let record = "[2026-01-01 10:00:00.1] [v3] [wsgi:error] [pid 1] Traceback\n[2026-01-01 10:00:00.2] [v3]   boom";
        assert_eq!(short(Some("2026-01-01T10:00:00.1Z"), record), "10:00:00 Traceback\n  boom");
        assert_eq!(short(None, "plain"), "plain");
    }
}
