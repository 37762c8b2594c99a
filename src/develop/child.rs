//! A program that runs beside this one, with all that it starts, and that never outlives it.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::Told;
use super::toolbox::Toolbox;
use crate::error::{Failure, Kind};

/// How much of what it printed last is kept.
const LAST_WORDS: usize = 30;
/// How long one that is asked to end may take.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(5);

/// See the module. Dropping it ends it.
pub struct Child {
    process: std::process::Child,
    group: Option<Pid>,
    /// Its guard ends it when nobody holds this any more.
    held: Option<ChildStdin>,
    said: Arc<Mutex<VecDeque<String>>>,
}

impl Child {
    /// Starts `words` in `dir`; `variables` come to those of this process. Lines that hold `noise` are not told.
    pub fn start(
        toolbox: &Toolbox,
        words: &[String],
        dir: &Path,
        variables: &BTreeMap<String, String>,
        noise: Option<&'static str>,
        told: &Arc<dyn Told>,
    ) -> Result<Self, Failure> {
        let mut command = Command::new(toolbox.develop("guard"));
        command.args(words).current_dir(dir).envs(variables);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut process = command
            .spawn()
            .map_err(|error| Failure::new(Kind::Failed, format!("{} cannot be started: {error}", words[0])))?;
        let said = Arc::default();
        pass_on(process.stdout.take(), &said, noise, told);
        pass_on(process.stderr.take(), &said, noise, told);
        let group = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        Ok(Child { group, held: process.stdin.take(), process, said })
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// The last lines that it printed.
    pub fn last_words(&self) -> Vec<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It may be gone already.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        if self.ended().is_none() {
            self.signal(Signal::TERM);
        }
        while self.ended().is_none() && Instant::now() < deadline {
            thread::sleep(LOOK);
        }
        // What it has started itself and left behind, too.
        self.signal(Signal::KILL);
        let _ = self.process.wait();
        self.held = None;
    }
}

/// The exit status that a shell would give it.
pub fn shell_status(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// `status 1`, `signal 9`.
pub fn describe(status: ExitStatus) -> String {
    match shell_status(status) {
        signal if signal > 128 => format!("signal {}", signal - 128),
        code => format!("status {code}"),
    }
}

fn pass_on(
    pipe: Option<impl Read + Send + 'static>,
    said: &Arc<Mutex<VecDeque<String>>>,
    noise: Option<&'static str>,
    told: &Arc<dyn Told>,
) {
    let Some(mut pipe) = pipe else { return };
    let (said, told) = (Arc::clone(said), Arc::clone(told));
    let is_noise = move |bytes: &[u8]| noise.is_some_and(|noise| String::from_utf8_lossy(bytes).contains(noise));
    thread::spawn(move || {
        let (mut buffer, mut line) = ([0; 8192], Vec::new());
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            buffer[..length]
                .split_inclusive(|byte| *byte == b'\n')
                .filter(|line| !is_noise(line))
                .for_each(|line| told.output(line));
            for byte in &buffer[..length] {
                match byte {
                    b'\n' => keep(&said, &mut line),
                    byte if line.len() < 2000 => line.push(*byte),
                    _ => {}
                }
            }
        }
        if !line.is_empty() {
            keep(&said, &mut line);
        }
    });
}

fn keep(said: &Mutex<VecDeque<String>>, line: &mut Vec<u8>) {
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    if said.len() == LAST_WORDS {
        said.pop_front();
    }
    said.push_back(String::from_utf8_lossy(line).into_owned());
    line.clear();
}
