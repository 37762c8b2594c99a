//! A node with its program: connect, see to it that the program is ours, call.

use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::node::{Conversation, Error, Event, Payload, Program, Session, Store};

/// How long a connection says nothing; sshd hangs up after 25 to 50 seconds (server-files/setup/sshd.conf).
const IDLE: Duration = Duration::from_secs(5);

/// What had to be done to the node program before it could be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installed {
    /// It was ours already.
    Same,
    /// It was another version, and was exchanged.
    Refreshed,
}

/// A node that answers.
pub struct Remote {
    /// Before the conversation, so that it is dropped first: then ending the conversation does not wait either.
    session: Session,
    conversation: Conversation,
    by: String,
}

impl Remote {
    /// Starts the node program, whatever its version is.
    pub fn open(mut session: Session, by: &str) -> Result<Self, Error> {
        let conversation = Conversation::open(&mut session)?;
        Ok(Remote { session, conversation, by: by.to_owned() })
    }

    /// Puts this binary's program on a server that has none or another, and starts it.
    pub fn install(mut session: Session, by: &str) -> Result<(Self, Installed), Error> {
        let conversation = Conversation::open(&mut session)?;
        let mut remote = Remote { session, conversation, by: by.to_owned() };
        match remote.call(json!({"verb": "version"}), &mut |_| {}) {
            Ok(answer) if answer["program"] == Program::version() => return Ok((remote, Installed::Same)),
            Ok(_) | Err(Error::NotSetUp { .. } | Error::Protocol { .. } | Error::Refused(_)) => {}
            Err(error) => return Err(error),
        }
        remote.refresh()?;
        Ok((remote, Installed::Refreshed))
    }

    /// Puts this binary's program on the node and starts it anew.
    pub fn refresh(&mut self) -> Result<(), Error> {
        Program::install(&mut self.session)?;
        self.conversation = Conversation::open(&mut self.session)?;
        Ok(())
    }

    /// Does something else, perhaps for minutes, and stays connected: sshd hangs up on who does not answer it, and only who
    /// listens does.
    pub fn meanwhile<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (working, ended) = mpsc::channel::<()>();
        std::thread::scope(move |scope| {
            scope.spawn(move || {
                while ended.recv_timeout(IDLE) == Err(mpsc::RecvTimeoutError::Timeout) {
                    // Whoever asks it something next is told what is wrong with it.
                    if self.call(json!({"verb": "version"}), &mut |_| {}).is_err() {
                        break;
                    }
                }
            });
            let done = work();
            drop(working);
            done
        })
    }

    pub fn session(&self) -> &Session {
        &self.session
    }

    pub fn node(&self) -> &str {
        self.session.node()
    }

    /// Sends a request (`by` is added) and returns its result.
    pub fn call(&mut self, mut request: Value, on_event: &mut dyn FnMut(Event)) -> Result<Value, Error> {
        request["by"] = json!(self.by);
        self.conversation.call(&mut self.session, &request, on_event)
    }

    /// The same for a request about backups, whose store is ours.
    pub fn call_with_store(
        &mut self,
        mut request: Value,
        store: &mut dyn Store,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Value, Error> {
        request["by"] = json!(self.by);
        self.conversation.call_with_store(&mut self.session, &request, store, on_event)
    }

    /// The same with a payload.
    pub fn call_with_payload(
        &mut self,
        mut request: Value,
        payload: Payload<'_>,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Value, Error> {
        request["by"] = json!(self.by);
        self.conversation.call_with_payload(&mut self.session, &request, payload, on_event)
    }
}
