//! A command inside an app, on a channel of its own: what it reads, what it prints and its exit status pass as they are.
//!
//! The request is one line, as in a conversation. After it everything towards the node is in chunks (see `run.py`), so that the end
//! of the channel's input can only mean that we are gone. On a terminal nothing is framed.

use std::io::{ErrorKind, Read, Write};
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;
use ssh2::{BlockDirections, Channel, PtyModeOpcode, PtyModes};

use super::error::{Error, NodeError};
use super::exec::{OnOutput, Output};
use super::outgoing::Outgoing;
use super::program::Program;
use super::protocol::PayloadWriter;
use super::session::Session;

/// The length of a chunk that is none: ctrl-C.
const INTERRUPT: [u8; 4] = [0xff; 4];
const PIECE: usize = 32 * 1024;

/// A terminal that the command gets one like.
pub trait Terminal {
    /// What it understands: `xterm-256color`.
    fn kind(&self) -> String;
    /// Columns and rows.
    fn size(&self) -> (u32, u32);
    /// From now on what is typed goes to the command as it is.
    fn begin(&self);
}

/// Writes a tar with the files of these numbers.
pub type SendFiles<'a> = &'a mut dyn FnMut(&[usize], &mut dyn Write) -> std::io::Result<()>;

/// What a command inside an app is connected to.
pub struct Ends<'a> {
    /// What it reads.
    pub input: BorrowedFd<'a>,
    /// Readable as soon as it shall be interrupted, and as often as bytes are in it.
    pub interrupts: BorrowedFd<'a>,
    pub terminal: Option<&'a dyn Terminal>,
    pub files: SendFiles<'a>,
    pub on_output: OnOutput<'a>,
}

impl Session {
    /// Runs what the request says to its end. Its exit status; `None` when `on_output` broke off. Errors: [`Error::Refused`],
    /// [`Error::NotSetUp`], [`Error::ConnectionLost`].
    pub fn run_inside(&mut self, request: &Value, ends: Ends<'_>) -> Result<Option<i32>, Error> {
        let status = self.try_run_inside(request, ends);
        self.ssh.set_blocking(true);
        if matches!(status, Err(Error::ConnectionLost { .. })) {
            self.abandon();
        }
        status
    }

    fn try_run_inside(&mut self, request: &Value, mut ends: Ends<'_>) -> Result<Option<i32>, Error> {
        let mut channel = self.ssh.channel_session().map_err(|error| self.lost(error))?;
        let mut command = format!("{} run", Program::command(&self.destination().user));
        if let Some(terminal) = ends.terminal {
            // The line of the request is not typed: nothing is to echo or interpret it.
            let (columns, rows) = terminal.size();
            channel
                .request_pty(&terminal.kind(), Some(silent()), Some((columns, rows, 0, 0)))
                .map_err(|error| self.lost(error))?;
            command.push_str(" terminal");
        }
        channel.exec(&command).map_err(|error| self.lost(error))?;
        channel.write_all(format!("{request}\n").as_bytes()).map_err(|error| self.lost(error))?;
        for _ in 0..2 {
            self.count_round_trip();
        }
        let mut talk = Talk { session: self, channel, held: Vec::new(), ready: false, words: Vec::new() };
        let travels = request["files"].as_array().is_some_and(|files| !files.is_empty());
        if travels || ends.terminal.is_some() {
            talk.await_ready(&mut ends)?;
        }
        talk.session.ssh.set_blocking(false);
        talk.pump(&mut ends)
    }
}

/// A terminal that takes bytes for bytes.
fn silent() -> PtyModes {
    let mut modes = PtyModes::new();
    for mode in [
        PtyModeOpcode::ECHO,
        PtyModeOpcode::ICANON,
        PtyModeOpcode::ISIG,
        PtyModeOpcode::IEXTEN,
        PtyModeOpcode::ICRNL,
        PtyModeOpcode::IXON,
        PtyModeOpcode::OPOST,
    ] {
        modes.set_boolean(mode, false);
    }
    modes
}

/// The channel while the command runs.
struct Talk<'s> {
    session: &'s mut Session,
    channel: Channel,
    /// What came on standard output and is not a line yet, until the node has said that it is ready.
    held: Vec<u8>,
    ready: bool,
    /// What the node said on standard error before that.
    words: Vec<u8>,
}

impl Talk<'_> {
    /// Until the command starts, with all that it takes. Blocks.
    fn await_ready(&mut self, ends: &mut Ends<'_>) -> Result<(), Error> {
        let mut buffer = [0; 4096];
        while !self.ready {
            let length = self.channel.read(&mut buffer).map_err(|error| self.session.lost(error))?;
            if length == 0 {
                return Err(self.not_started());
            }
            self.hold(&buffer[..length], ends)?;
        }
        if let Some(terminal) = ends.terminal {
            terminal.begin();
        }
        Ok(())
    }

    /// Takes what comes before the command's own output, and answers it; what follows is held.
    fn hold(&mut self, piece: &[u8], ends: &mut Ends<'_>) -> Result<(), Error> {
        self.held.extend_from_slice(piece);
        while !self.ready
            && let Some(end) = self.held.iter().position(|byte| *byte == b'\n')
        {
            let rest = self.held.split_off(end + 1);
            let line = std::mem::replace(&mut self.held, rest);
            self.answer(&line, ends)?;
        }
        Ok(())
    }

    fn answer(&mut self, line: &[u8], ends: &mut Ends<'_>) -> Result<(), Error> {
        let node = || self.session.node().to_owned();
        let nonsense = |reason: String| Error::Protocol { node: node(), reason };
        let said: Value = serde_json::from_slice(line).map_err(|error| nonsense(error.to_string()))?;
        match said["event"].as_str() {
            Some("ready") => self.ready = true,
            Some("wanted") => {
                let numbers = said["files"].as_array().into_iter().flatten();
                let numbers: Vec<usize> = numbers.filter_map(|number| usize::try_from(number.as_u64()?).ok()).collect();
                let mut writer = PayloadWriter::new(Outgoing::new(&self.session.ssh, &self.channel));
                (ends.files)(&numbers, &mut writer)
                    .and_then(|()| writer.end())
                    .map_err(|error| Error::FilesUnread { node: node(), reason: error.to_string() })?;
                self.session.count_round_trip();
            }
            Some("error") => {
                let mut error: NodeError = serde_json::from_value(said).map_err(|error| nonsense(error.to_string()))?;
                error.node = format!("{}: ", self.session.node());
                return Err(Error::Refused(Box::new(error)));
            }
            _ => return Err(nonsense(format!("{said}"))),
        }
        Ok(())
    }

    /// Carries bytes both ways until the command has ended.
    fn pump(mut self, ends: &mut Ends<'_>) -> Result<Option<i32>, Error> {
        let framed = ends.terminal.is_none();
        let mut outgoing = Pending::default();
        let mut input_open = true;
        let mut size = ends.terminal.map(Terminal::size);
        loop {
            match self.read(ends)? {
                ControlFlow::Break(()) => return Ok(None),
                ControlFlow::Continue(true) => continue,
                ControlFlow::Continue(false) => {}
            }
            if self.channel.eof() {
                break;
            }
            let room = outgoing.write(&mut self.channel).map_err(|error| self.session.lost(error))?;
            if let (Some(terminal), Some(known)) = (ends.terminal, size.as_mut()) {
                let now = terminal.size();
                if now != *known {
                    *known = now;
                    self.resize(now)?;
                }
            }
            let take_input = input_open && room;
            let ready = self.wait(ends, take_input, !room)?;
            if ready.interrupt && framed {
                outgoing.bytes.extend_from_slice(&INTERRUPT);
            }
            if ready.input {
                let mut piece = vec![0; PIECE];
                let length = match rustix::io::read(ends.input, &mut piece) {
                    Ok(length) => length,
                    Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
                    // What cannot be read has ended: a terminal of which we are not in the foreground.
                    Err(_) => 0,
                };
                input_open = length > 0;
                outgoing.add(&piece[..length], framed);
            }
        }
        let Talk { session, channel, ready, .. } = &mut self;
        session.ssh.set_blocking(true);
        if !*ready {
            return Err(self.not_started());
        }
        session.status_of(channel).map(Some)
    }

    /// Puts out what has come; `Continue(true)` when there may be more.
    fn read(&mut self, ends: &mut Ends<'_>) -> Result<ControlFlow<(), bool>, Error> {
        let mut buffer = [0; PIECE];
        if self.ready && !self.held.is_empty() {
            let first = std::mem::take(&mut self.held);
            return Ok((ends.on_output)(Output::Stdout, &first).map_continue(|()| true));
        }
        let mut more = false;
        for (output, number) in [(Output::Stdout, 0), (Output::Stderr, ssh2::EXTENDED_DATA_STDERR)] {
            let length = match self.channel.stream(number).read(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(self.session.lost(error)),
            };
            if length == 0 {
                continue;
            }
            more = true;
            let piece = &buffer[..length];
            match (self.ready, output) {
                (true, _) => {
                    if (ends.on_output)(output, piece).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                (false, Output::Stdout) => self.hold(piece, ends)?,
                (false, Output::Stderr) => self.words.extend_from_slice(piece),
            }
        }
        Ok(ControlFlow::Continue(more))
    }

    fn resize(&mut self, (columns, rows): (u32, u32)) -> Result<(), Error> {
        self.session.ssh.set_blocking(true);
        let resized = self.channel.request_pty_size(columns, rows, None, None);
        self.session.ssh.set_blocking(false);
        resized.map_err(|error| self.session.lost(error))
    }

    /// Until there is something to do. On a terminal at most a moment: its size has no other way to be noticed.
    fn wait(&self, ends: &Ends<'_>, input: bool, stuck: bool) -> Result<Ready, Error> {
        let outbound = matches!(self.session.ssh.block_directions(), BlockDirections::Outbound | BlockDirections::Both);
        let flags = if stuck && outbound { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let mut polled =
            vec![PollFd::new(self.session.socket(), flags), PollFd::from_borrowed_fd(ends.interrupts, PollFlags::IN)];
        if input {
            polled.push(PollFd::from_borrowed_fd(ends.input, PollFlags::IN));
        }
        let nanoseconds = if ends.terminal.is_some() { 200_000_000 } else { 999_000_000 };
        match poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: nanoseconds })) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(self.session.lost(errno)),
        }
        let interrupt = !polled[1].revents().is_empty();
        if interrupt {
            // It counts once, however often it was asked for until now.
            let _ = rustix::io::read(ends.interrupts, &mut [0; 64]);
        }
        Ok(Ready { interrupt, input: polled.get(2).is_some_and(|input| !input.revents().is_empty()) })
    }

    /// The channel ended before the command began: its exit status and last words say why.
    fn not_started(&mut self) -> Error {
        self.session.ssh.set_blocking(true);
        // What cannot be read any more cannot be told either.
        let _ = self.channel.stderr().take(4096).read_to_end(&mut self.words);
        let _ = self.channel.wait_close();
        let destination = self.session.destination();
        super::protocol::not_started(
            destination,
            self.channel.exit_status().ok(),
            &String::from_utf8_lossy(&self.words),
        )
    }
}

struct Ready {
    interrupt: bool,
    input: bool,
}

/// What is on its way to the node.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    sent: usize,
}

impl Pending {
    /// A piece of input; an empty one is its end.
    fn add(&mut self, piece: &[u8], framed: bool) {
        if framed {
            // At most PIECE bytes, so the length fits.
            self.bytes.extend_from_slice(&(piece.len() as u32).to_be_bytes());
        }
        self.bytes.extend_from_slice(piece);
    }

    /// Sends as much as goes now; says whether that was all.
    fn write(&mut self, channel: &mut Channel) -> std::io::Result<bool> {
        while self.sent < self.bytes.len() {
            match channel.stream(0).write(&self.bytes[self.sent..]) {
                Ok(0) => return Ok(false),
                Ok(length) => self.sent += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                // The command has ended, and nobody reads any more; its status is on its way.
                Err(_) if channel.eof() => self.sent = self.bytes.len(),
                Err(error) => return Err(error),
            }
        }
        self.bytes.clear();
        self.sent = 0;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_framed_but_on_a_terminal() {
        let mut outgoing = Pending::default();
        outgoing.add(b"ab", true);
        outgoing.add(b"", true);
        outgoing.add(b"\x03", false);
        assert_eq!(outgoing.bytes, [0, 0, 0, 2, b'a', b'b', 0, 0, 0, 0, 3]);
    }
}
