//! `cloudtool shell`: the same commands without the prefix.

mod editor;
mod line;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;

use super::context::Context;
use crate::error::{Failure, Kind};
use line::Line;

/// How deep files may run files.
const DEEPEST: usize = 20;

/// Type commands without the prefix
///
/// With history and completion. `use CLOUD` chooses the cloud of the lines that follow, `on NODE` their node, `source FILE` runs the
/// lines of a file up to the first that fails, `exit` ends.
#[derive(Debug, Args)]
pub(super) struct Shell {
    /// Run the lines of this file up to the first that fails, and end; - is standard input
    file: Option<PathBuf>,
}

pub(super) fn run(context: &Context, args: Shell) -> Result<(), Failure> {
    let mut session = Session::new(context)?;
    match args.file {
        Some(file) => session.run_file(&file, 0),
        None if !context.ui.is_interactive() => session.run_file(Path::new("-"), 0),
        None => session.talk(),
    }
}

/// What the lines of a shell share.
struct Session<'a> {
    context: &'a Context,
    program: PathBuf,
    /// What every line gets from the shell's own command line: `--config`, `--yes`, ...
    environment: Vec<(&'static str, std::ffi::OsString)>,
    cloud: Option<String>,
    node: Option<String>,
    /// A line runs: Ctrl-C is for it alone.
    busy: Arc<AtomicBool>,
}

/// What a line came to.
enum Then {
    Next,
    End,
    /// A command failed, and has said why.
    Failed(Failure),
}

impl<'a> Session<'a> {
    fn new(context: &'a Context) -> Result<Self, Failure> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::new(Kind::Failed, format!("the program does not find itself: {error}")))?;
        let busy = Arc::new(AtomicBool::new(false));
        let is_busy = busy.clone();
        let handler = move || {
            if !is_busy.load(Ordering::SeqCst) {
                std::process::exit(i32::from(Kind::Cancelled.exit_code()));
            }
        };
        // Without it, Ctrl-C ends the shell together with the line.
        let _ = ctrlc::set_handler(handler);
        let environment = context.globals().environment();
        let cloud = context.globals().provider.clone();
        Ok(Session { context, program, environment, cloud, node: None, busy })
    }

    /// Reads lines from the terminal until there are no more.
    fn talk(&mut self) -> Result<(), Failure> {
        let mut editor = editor::Editor::open(self.context)?;
        while let Some(text) = editor.read(&self.prompt(), self.cloud.as_deref())? {
            match self.run_line(&text, 0) {
                Ok(Then::Next | Then::Failed(_)) => {}
                Ok(Then::End) => break,
                Err(failure) => self.context.ui.failure(&failure),
            }
        }
        Ok(())
    }

    fn prompt(&self) -> String {
        let contexts: String = [&self.cloud, &self.node].into_iter().flatten().map(|name| format!(" {name}")).collect();
        format!("cloudtool{contexts}> ")
    }

    /// Runs the lines of a file.
    ///
    /// Errors: the failure of the first line that fails, with its place.
    fn run_file(&mut self, file: &Path, depth: usize) -> Result<(), Failure> {
        if depth > DEEPEST {
            return Err(Failure::new(Kind::Usage, format!("{} runs itself, or files {DEEPEST} deep", file.display())));
        }
        let (shown, text) = if file == Path::new("-") {
            ("standard input".to_owned(), std::io::read_to_string(std::io::stdin()))
        } else {
            (file.display().to_string(), std::fs::read_to_string(file))
        };
        let text = text.map_err(|error| Failure::new(Kind::Usage, format!("{shown} cannot be read: {error}")))?;
        for (index, line) in text.lines().enumerate() {
            match self.run_line(line, depth) {
                Ok(Then::Next) => {}
                Ok(Then::End) => break,
                Ok(Then::Failed(failure)) | Err(failure) => {
                    let message = format!("{shown}:{}: {}", index + 1, failure.message);
                    return Err(Failure { message, ..failure });
                }
            }
        }
        Ok(())
    }

    fn run_line(&mut self, text: &str, depth: usize) -> Result<Then, Failure> {
        match Line::parse(text).map_err(|message| Failure::new(Kind::Usage, message))? {
            Line::Empty => {}
            Line::Exit => return Ok(Then::End),
            Line::Use(cloud) => {
                if let Some(cloud) = &cloud {
                    self.context.provider_named(cloud)?;
                }
                self.cloud = cloud;
            }
            Line::On(node) => {
                if let Some(node) = &node {
                    self.context.named(node)?;
                }
                self.node = node;
            }
            Line::Source(file) => self.run_file(&file, depth + 1)?,
            Line::Command(words) => return self.run_command(&words),
        }
        Ok(Then::Next)
    }

    /// Runs a line as a process of its own, as if it was typed with the prefix: whatever ends it, the shell goes on.
    fn run_command(&self, words: &[String]) -> Result<Then, Failure> {
        if words[0] == "shell" {
            return Err(Failure::new(Kind::Usage, "this is a shell already"));
        }
        let mut command = Command::new(&self.program);
        command.args(words).envs(self.environment.iter().cloned());
        for (variable, value) in [("CLOUDTOOL_PROVIDER", &self.cloud), ("CLOUDTOOL_NODE", &self.node)] {
            if let Some(value) = value {
                command.env(variable, value);
            }
        }
        self.busy.store(true, Ordering::SeqCst);
        let status = command.status();
        self.busy.store(false, Ordering::SeqCst);
        let status = status.map_err(|error| Failure::new(Kind::Failed, format!("{} cannot run: {error}", words[0])))?;
        Ok(if status.success() { Then::Next } else { Then::Failed(failed(&words[0], status)) })
    }
}

/// The failure of a line, for the file it stands in.
fn failed(word: &str, status: ExitStatus) -> Failure {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    let kind = code.and_then(Kind::of_exit_code).unwrap_or(Kind::Failed);
    Failure::new(kind, format!("{word} failed ({status})"))
}
