//! The conversation with the node program: JSON lines both ways, a payload in chunks (docs/architecture.md).

use std::io::{BufRead, BufReader, Read, Write};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tracing::debug;

use super::destination::Destination;
use super::error::{Error, NodeError};
use super::outgoing::Outgoing;
use super::program::Program;
use super::session::Session;
use super::store::{self, Question, Store};

/// Large enough to keep the number of packets low, small enough to notice a dead peer soon.
const CHUNK: usize = 256 * 1024;

/// A payload of more bytes does not travel before the node wants it: while it waits for somebody else's work, we could
/// not hear it say so, and what it then refuses would have travelled for nothing. A smaller one saves the round trip.
const EAGER: u64 = 1 << 20;

/// What follows a request.
pub struct Payload<'a> {
    /// About how many bytes it has.
    pub bytes: u64,
    /// The step of the request that reads it.
    pub wanted_by: &'static str,
    pub write: &'a mut dyn FnMut(&mut dyn Write) -> std::io::Result<()>,
}

/// What the node says while it works on a request.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    Step {
        step: String,
        state: String,
        #[serde(default)]
        seconds: f64,
        #[serde(default)]
        detail: Option<String>,
    },
    Log {
        source: String,
        line: String,
    },
    Warning {
        message: String,
    },
    Waiting {
        #[serde(rename = "for")]
        what: String,
        owner: Option<String>,
        verb: Option<String>,
        since: Option<String>,
    },
    Line {
        stream: String,
        at: Option<String>,
        line: String,
    },
    /// The lines there were have been told; what comes now is new.
    Following,
}

impl Event {
    /// How long a finished step took.
    pub fn took(seconds: f64) -> Duration {
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }
}

/// A running node program. Several requests may follow each other.
pub struct Conversation {
    destination: Destination,
    channel: ssh2::Channel,
    answers: BufReader<ssh2::Stream>,
    output: Outgoing,
}

/// How a request ended.
enum Ending {
    Event(Event),
    Question(Question),
    Result(Value),
    Error(NodeError),
}

impl Conversation {
    /// Starts the node program.
    pub fn open(session: &mut Session) -> Result<Self, Error> {
        let mut channel = session.ssh.channel_session().map_err(|error| session.lost(error))?;
        session.count_round_trip();
        let destination = session.destination().clone();
        channel.exec(Program::command(&destination.user)).map_err(|error| session.lost(error))?;
        session.count_round_trip();
        let answers = BufReader::with_capacity(64 * 1024, channel.stream(0));
        let output = Outgoing::new(&session.ssh, &channel);
        Ok(Conversation { destination, channel, answers, output })
    }

    /// Sends a request and reads its events to the end; the answer is the `result` event.
    pub fn call(
        &mut self,
        session: &mut Session,
        request: &Value,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Value, Error> {
        let answer = self.send(request).and_then(|()| {
            session.count_round_trip();
            self.finish(None, on_event)
        });
        abandon_if_lost(session, answer)
    }

    /// The same for a request about backups: the node's questions about their store are answered.
    pub fn call_with_store(
        &mut self,
        session: &mut Session,
        request: &Value,
        store: &mut dyn Store,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Value, Error> {
        let answer = self.send(request).and_then(|()| {
            session.count_round_trip();
            self.finish(Some(store), on_event)
        });
        abandon_if_lost(session, answer)
    }

    /// The same for a request with a payload.
    ///
    /// When the node fails while the payload travels, its error is returned, not the broken pipe.
    pub fn call_with_payload(
        &mut self,
        session: &mut Session,
        request: &Value,
        payload: Payload<'_>,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Value, Error> {
        let answer = self.send(request).and_then(|()| {
            session.count_round_trip();
            if payload.bytes > EAGER {
                session.count_round_trip();
                if let Some(answer) = self.await_step(payload.wanted_by, on_event)? {
                    return Ok(answer);
                }
            }
            self.send_payload(session, payload.write, on_event)
        });
        abandon_if_lost(session, answer)
    }

    fn send_payload(
        &mut self,
        session: &Session,
        write: &mut dyn FnMut(&mut dyn Write) -> std::io::Result<()>,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Value, Error> {
        let mut writer = PayloadWriter::new(&mut self.output);
        match write(&mut writer).and_then(|()| writer.end()) {
            Ok(()) => self.finish(None, on_event),
            Err(error) if session.is_dead() => Err(self.broken(&error.to_string())),
            Err(error) => {
                // Our own reading failed, or the node went away. End the input, so that the node ends the request; then its word counts.
                let _ = self.channel.send_eof();
                match self.finish(None, on_event) {
                    Err(Error::Refused(refused)) if refused.code != "aborted" => Err(Error::Refused(refused)),
                    _ => Err(self.broken(&error.to_string())),
                }
            }
        }
    }

    /// Reads events until a step begins, or to the end when it never does. Then there is an answer, and the payload that
    /// the node still expects is an empty one.
    fn await_step(&mut self, name: &str, on_event: &mut dyn FnMut(Event)) -> Result<Option<Value>, Error> {
        let answer = loop {
            match self.next()? {
                Ending::Event(event) => {
                    let begins = matches!(&event, Event::Step { step, state, .. } if step == name && state == "start");
                    on_event(event);
                    if begins {
                        return Ok(None);
                    }
                }
                Ending::Question(_) => break Err(self.nonsense("it asks for a store")),
                Ending::Result(value) => break Ok(Some(value)),
                Ending::Error(error) => break Err(Error::Refused(Box::new(error))),
            }
        };
        PayloadWriter::new(&mut self.output).end().map_err(|error| self.broken(&error.to_string()))?;
        answer
    }

    fn send(&mut self, request: &Value) -> Result<(), Error> {
        let line = format!("{request}\n");
        // Only the verb: a request may hold secrets.
        debug!(verb = request["verb"].as_str(), bytes = line.len(), "asking {}", self.destination.name);
        self.output.write_all(line.as_bytes()).map_err(|error| self.broken(&error.to_string()))
    }

    fn finish(&mut self, mut store: Option<&mut dyn Store>, on_event: &mut dyn FnMut(Event)) -> Result<Value, Error> {
        loop {
            match self.next()? {
                Ending::Event(event) => on_event(event),
                Ending::Question(question) => {
                    let Some(store) = store.as_deref_mut() else { return Err(self.nonsense("it asks for a store")) };
                    store::answer(store, question, &mut self.answers, &mut self.output).map_err(|error| {
                        let ended = error.kind() == std::io::ErrorKind::BrokenPipe;
                        if ended { self.ended() } else { self.broken(&error.to_string()) }
                    })?;
                }
                Ending::Result(value) => return Ok(value),
                Ending::Error(error) => return Err(Error::Refused(Box::new(error))),
            }
        }
    }

    fn next(&mut self) -> Result<Ending, Error> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Err(error) => return Err(self.broken(&error.to_string())),
            Ok(0) => return Err(self.ended()),
            Ok(_) => {}
        }
        let value: Value =
            serde_json::from_str(&line).map_err(|error| self.nonsense(&format!("{error} in {line:?}")))?;
        match value.get("event").and_then(Value::as_str) {
            Some("result") => Ok(Ending::Result(value)),
            Some("error") => {
                let mut error: NodeError = serde_json::from_value(value).map_err(|e| self.nonsense(&e.to_string()))?;
                error.node = format!("{}: ", self.destination.name);
                Ok(Ending::Error(error))
            }
            Some("store") => {
                serde_json::from_value(value).map(Ending::Question).map_err(|error| self.nonsense(&error.to_string()))
            }
            _ => serde_json::from_value(value).map(Ending::Event).map_err(|error| self.nonsense(&error.to_string())),
        }
    }

    fn nonsense(&self, reason: &str) -> Error {
        Error::Protocol { node: self.destination.name.clone(), reason: reason.to_owned() }
    }

    fn broken(&mut self, reason: &str) -> Error {
        Error::ConnectionLost { node: self.destination.name.clone(), reason: reason.to_owned() }
    }

    /// The program ended without an answer.
    fn ended(&mut self) -> Error {
        let mut words = String::new();
        // What cannot be read any more cannot be told either.
        let _ = self.channel.stderr().take(4096).read_to_string(&mut words);
        let _ = self.channel.wait_close();
        not_started(&self.destination, self.channel.exit_status().ok(), &words)
    }
}

/// Why the node program ended without an answer, as far as its exit status and last words tell.
pub(super) fn not_started(destination: &Destination, status: Option<i32>, words: &str) -> Error {
    let node = destination.name.clone();
    match status {
        Some(126 | 127) => Error::NotSetUp { node },
        Some(1) if destination.user != "root" && words.starts_with("sudo:") => {
            if words.contains("command not found") {
                Error::NotSetUp { node }
            } else {
                Error::NeedsSudo { node, user: destination.user.clone() }
            }
        }
        Some(0) | None => Error::ConnectionLost { node, reason: "the node closed it".to_owned() },
        Some(status) => {
            let last = words.lines().last().unwrap_or("it said nothing").to_owned();
            Error::Protocol { node, reason: format!("the node program ended with status {status}: {last}") }
        }
    }
}

fn abandon_if_lost<T>(session: &Session, answer: Result<T, Error>) -> Result<T, Error> {
    if matches!(answer, Err(Error::ConnectionLost { .. })) {
        session.abandon();
    }
    answer
}

/// Frames a payload: 4 bytes big-endian length, the bytes, ..., and a length of 0.
pub struct PayloadWriter<W: Write> {
    inner: W,
    chunk: Vec<u8>,
}

impl<W: Write> PayloadWriter<W> {
    pub fn new(inner: W) -> Self {
        let mut chunk = Vec::with_capacity(CHUNK + 4);
        chunk.extend_from_slice(&[0; 4]);
        PayloadWriter { inner, chunk }
    }

    /// Sends what is left and the end mark.
    pub fn end(mut self) -> std::io::Result<()> {
        self.send_chunk()?;
        self.inner.write_all(&[0; 4])
    }

    fn send_chunk(&mut self) -> std::io::Result<()> {
        let length = self.chunk.len() - 4;
        if length > 0 {
            // A chunk is at most CHUNK bytes, so the length fits.
            self.chunk[..4].copy_from_slice(&(length as u32).to_be_bytes());
            self.inner.write_all(&self.chunk)?;
            self.chunk.truncate(4);
        }
        Ok(())
    }
}

impl<W: Write> Write for PayloadWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = bytes.len().min(CHUNK + 4 - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        if self.chunk.len() == CHUNK + 4 {
            self.send_chunk()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        // Small chunks would cost a packet each: only a full one or the end is sent.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_framed() {
        let mut wire = Vec::new();
        let mut writer = PayloadWriter::new(&mut wire);
        let content = vec![7u8; CHUNK + 3];
        writer.write_all(&content).unwrap();
        writer.end().unwrap();
        let (length, rest) = wire.split_at(4);
        assert_eq!(length, (CHUNK as u32).to_be_bytes());
        assert_eq!(rest[CHUNK..], [0, 0, 0, 3, 7, 7, 7, 0, 0, 0, 0]);
    }

    #[test]
    fn events_are_understood() {
        let event: Event =
            serde_json::from_str(r#"{"event":"step","step":"stage","state":"done","seconds":0.5,"detail":"x"}"#)
                .unwrap();
        assert!(matches!(event, Event::Step { seconds, .. } if seconds == 0.5));
    }
}
