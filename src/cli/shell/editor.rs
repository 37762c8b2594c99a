//! The line editor of the shell: history in the data directory, completion.

use std::path::PathBuf;

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Helper};

use super::super::complete::{Candidates, Known, beginning_with, candidates};
use super::super::context::Context;
use super::super::things::Things;
use super::line::OWN;
use crate::error::{Failure, Kind};
use crate::inventory::Inventory;

const HISTORY: &str = "shell_history";
const LONGEST_HISTORY: usize = 5000;

pub struct Editor<'a> {
    editor: rustyline::Editor<Completion<'a>, FileHistory>,
    history: Option<PathBuf>,
}

impl<'a> Editor<'a> {
    pub fn open(context: &'a Context) -> Result<Self, Failure> {
        let config = Config::builder()
            .max_history_size(LONGEST_HISTORY)
            .and_then(|config| config.history_ignore_dups(true))
            .map_err(cannot_be_read)?
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            .auto_add_history(true)
            .build();
        let history = FileHistory::with_config(&config);
        let mut editor = rustyline::Editor::with_history(config, history).map_err(cannot_be_read)?;
        let mut definition = super::super::definition();
        definition.build();
        editor.set_helper(Some(Completion {
            definition,
            files: FilenameCompleter::new(),
            things: Things::new(context),
        }));
        let history = Inventory::own_dir().ok().map(|dir| dir.join(HISTORY));
        if let Some(history) = &history {
            // There is none before the first line.
            let _ = editor.load_history(history);
        }
        Ok(Editor { editor, history })
    }

    /// The next line; `None` at the end (Ctrl-D). Ctrl-C gives up a line.
    pub fn read(&mut self, prompt: &str, cloud: Option<&str>) -> Result<Option<String>, Failure> {
        if let Some(completion) = self.editor.helper() {
            completion.things.of(cloud);
        }
        loop {
            match self.editor.readline(prompt) {
                Ok(line) => {
                    if let Some(history) = &self.history {
                        // A shell without a memory is a shell still.
                        let _ = self.editor.append_history(history);
                    }
                    return Ok(Some(line));
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return Ok(None),
                Err(error) => return Err(cannot_be_read(error)),
            }
        }
    }
}

fn cannot_be_read(error: ReadlineError) -> Failure {
    Failure::new(Kind::NeedsPerson, format!("the terminal cannot be read: {error}"))
}

/// What rustyline asks when Tab is pressed.
struct Completion<'a> {
    definition: clap::Command,
    files: FilenameCompleter,
    things: Things<'a>,
}

impl Completer for Completion<'_> {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &rustyline::Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let start = line[..pos].rfind(char::is_whitespace).map_or(0, |space| space + 1);
        let before: Vec<String> = line[..start].split_whitespace().map(str::to_owned).collect();
        let before = match before.as_slice() {
            [first, rest @ ..] if first == "cloudtool" => rest,
            before => before,
        };
        match own(before, &line[start..pos], &self.definition, &self.things) {
            Candidates::Files => self.files.complete_path(line, pos),
            Candidates::Words(words) => {
                let pair = |word: String| Pair { display: word.clone(), replacement: format!("{word} ") };
                Ok((start, words.into_iter().map(pair).collect()))
            }
        }
    }
}

/// The shell's own words, beside the commands.
fn own(before: &[String], current: &str, definition: &clap::Command, known: &dyn Known) -> Candidates {
    let words = match before {
        [] => {
            let own = OWN.iter().map(ToString::to_string);
            let Candidates::Words(commands) = candidates(definition, before, current, known) else {
                return Candidates::Files;
            };
            own.chain(commands).collect()
        }
        [word] if word == "use" => known.clouds(),
        [word] if word == "on" => known.nodes(),
        [word] if word == "source" => return Candidates::Files,
        before => return candidates(definition, before, current, known),
    };
    Candidates::Words(beginning_with(current, words))
}

impl Hinter for Completion<'_> {
    type Hint = String;
}

impl Highlighter for Completion<'_> {}

impl Validator for Completion<'_> {}

impl Helper for Completion<'_> {}
