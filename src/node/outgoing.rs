//! What goes to the node program: it may end before it has read all of it.

use std::io::{self, Write};

/// How long libssh2 may wait for the other side to take something before we look whether anybody is still there.
const TURN_MS: u32 = 1_000;

/// The input of a program on the node.
///
/// libssh2 waits for room in the channel's window for ever, also when the program that should make it is dead and the channel
/// closed. So it waits for a turn at a time.
pub(super) struct Outgoing {
    ssh: ssh2::Session,
    channel: ssh2::Channel,
    stream: ssh2::Stream,
}

impl Outgoing {
    pub(super) fn new(ssh: &ssh2::Session, channel: &ssh2::Channel) -> Self {
        Outgoing { ssh: ssh.clone(), stream: channel.stream(0), channel: channel.clone() }
    }

    /// What a program said last may be unread, and hides the end of its output. How it ended is known nonetheless, but for a
    /// status of 0, with which none ends that is still to read something.
    fn has_ended(&self) -> bool {
        self.channel.eof()
            || self.channel.exit_status().is_ok_and(|status| status != 0)
            || self.channel.exit_signal().is_ok_and(|signal| signal.exit_signal.is_some())
    }
}

impl Write for Outgoing {
    /// # Errors
    /// Those of the connection; `BrokenPipe` when the program has ended.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.ssh.set_timeout(TURN_MS);
        let written = loop {
            match self.stream.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    if self.has_ended() {
                        break Err(io::Error::new(io::ErrorKind::BrokenPipe, "the node program has ended"));
                    }
                }
                done => break done,
            }
        };
        self.ssh.set_timeout(0);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        // A channel's flush throws away what the node has said meanwhile, and nothing is held back anyway.
        Ok(())
    }
}
