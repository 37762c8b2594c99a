//! One command on a node, from its start to its exit status.

use std::io::{ErrorKind, Read, Write};
use std::ops::ControlFlow;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use ssh2::Channel;

use super::error::Error;
use super::outgoing::Outgoing;
use super::session::Session;

/// Where a piece of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Stdout,
    Stderr,
}

/// Takes output as it comes, in pieces that may end anywhere; `Break` hangs up.
pub type OnOutput<'a> = &'a mut dyn FnMut(Output, &[u8]) -> ControlFlow<()>;

/// The signals OpenSSH names, with the numbers a shell adds to 128.
const SIGNALS: [(&str, i32); 8] =
    [("HUP", 1), ("INT", 2), ("QUIT", 3), ("ABRT", 6), ("KILL", 9), ("SEGV", 11), ("PIPE", 13), ("TERM", 15)];

impl Session {
    /// Runs `command`, which the user's shell on the node reads, with `input` (a few kilobytes) on its standard input.
    ///
    /// Its exit status, of a killed one 128 and the signal's number; `None` when `on_output` broke off. Errors:
    /// [`Error::ConnectionLost`].
    pub fn run(&mut self, command: &str, input: &[u8], on_output: OnOutput<'_>) -> Result<Option<i32>, Error> {
        let status = self.try_run(command, input, on_output);
        if status.is_err() {
            self.abandon();
        }
        status
    }

    fn try_run(&mut self, command: &str, input: &[u8], on_output: OnOutput<'_>) -> Result<Option<i32>, Error> {
        let mut channel = self.ssh.channel_session().map_err(|error| self.lost(error))?;
        channel.exec(command).map_err(|error| self.lost(error))?;
        Outgoing::new(&self.ssh, &channel).write_all(input).map_err(|error| self.lost(error))?;
        channel.send_eof().map_err(|error| self.lost(error))?;
        for _ in 0..2 {
            self.count_round_trip();
        }
        // Whichever of the two streams has something is read, so neither can fill up while we wait for the other.
        self.ssh.set_blocking(false);
        if self.read_all(&mut channel, on_output)?.is_break() {
            // Dropped now, the channel waits for no word of the other side.
            drop(channel);
            self.ssh.set_blocking(true);
            return Ok(None);
        }
        self.ssh.set_blocking(true);
        self.status_of(&mut channel).map(Some)
    }

    /// How a command whose output has ended has ended.
    pub(super) fn status_of(&self, channel: &mut Channel) -> Result<i32, Error> {
        channel.wait_close().map_err(|error| self.lost(error))?;
        if let Some(signal) = channel.exit_signal().map_err(|error| self.lost(error))?.exit_signal {
            let number = SIGNALS.iter().find(|(name, _)| *name == signal).map_or(0, |(_, number)| *number);
            return Ok(128 + number);
        }
        channel.exit_status().map_err(|error| self.lost(error))
    }

    fn read_all(&self, channel: &mut Channel, on_output: OnOutput<'_>) -> Result<ControlFlow<()>, Error> {
        let mut buffer = [0; 16 * 1024];
        loop {
            let mut idle = true;
            for (output, number) in [(Output::Stdout, 0), (Output::Stderr, ssh2::EXTENDED_DATA_STDERR)] {
                match channel.stream(number).read(&mut buffer) {
                    Ok(0) => {}
                    Ok(length) => {
                        idle = false;
                        if on_output(output, &buffer[..length]).is_break() {
                            return Ok(ControlFlow::Break(()));
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(self.lost(error)),
                }
            }
            if !idle {
                continue;
            }
            if channel.eof() {
                return Ok(ControlFlow::Continue(()));
            }
            self.await_bytes()?;
        }
    }

    /// Until there is something to read; at most a second, so that nothing missed is missed for long.
    fn await_bytes(&self) -> Result<(), Error> {
        let mut sockets = [PollFd::new(self.socket(), PollFlags::IN)];
        match poll(&mut sockets, Some(&Timespec { tv_sec: 1, tv_nsec: 0 })) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(self.lost(errno)),
        }
    }
}
