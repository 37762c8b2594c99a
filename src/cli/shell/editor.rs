//! The line editor of the shell: history in the data directory, completion.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Helper};

use super::super::context::Context;
use super::complete::{Candidates, Known, candidates};
use crate::error::{Failure, Kind};
use crate::inventory::Inventory;
use crate::providers::Provider;

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
            things: Things { context, cloud: RefCell::default(), asked: RefCell::default() },
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
            completion.things.cloud.replace(cloud.map(str::to_owned));
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
        match candidates(&self.definition, &before, &line[start..pos], &self.things) {
            Candidates::Files => self.files.complete_path(line, pos),
            Candidates::Words(words) => {
                let pair = |word: String| Pair { display: word.clone(), replacement: format!("{word} ") };
                Ok((start, words.into_iter().map(pair).collect()))
            }
        }
    }
}

impl Hinter for Completion<'_> {
    type Hint = String;
}

impl Highlighter for Completion<'_> {}

impl Validator for Completion<'_> {}

impl Helper for Completion<'_> {}

/// What clouds answered, by cloud and list.
type Lists = HashMap<(Option<String>, &'static str), Vec<String>>;

/// What there is, from the inventory and, once for each cloud, from the cloud.
struct Things<'a> {
    context: &'a Context,
    cloud: RefCell<Option<String>>,
    asked: RefCell<Lists>,
}

impl Things<'_> {
    /// What a cloud lists. One that does not answer has nothing to complete with.
    fn of_cloud(&self, what: &'static str, list: impl Fn(&dyn Provider) -> Vec<String>) -> Vec<String> {
        let cloud = self.cloud.borrow().clone();
        let ask = || {
            let provider = match &cloud {
                Some(cloud) => self.context.provider_named(cloud),
                None => self.context.provider().map(|(_, provider)| provider),
            };
            provider.map(|provider| list(provider.as_ref())).unwrap_or_default()
        };
        self.asked.borrow_mut().entry((cloud.clone(), what)).or_insert_with(ask).clone()
    }

    fn of_inventory<T>(&self, list: impl Fn(&Inventory) -> Result<Vec<T>, crate::inventory::Error>) -> Vec<T> {
        self.context.inventory().ok().and_then(|inventory| list(&inventory).ok()).unwrap_or_default()
    }
}

impl Known for Things<'_> {
    fn clouds(&self) -> Vec<String> {
        self.context.config().map(|config| config.providers.keys().cloned().collect()).unwrap_or_default()
    }

    fn nodes(&self) -> Vec<String> {
        self.of_inventory(Inventory::nodes).into_iter().map(|node| node.name).collect()
    }

    fn labels(&self) -> Vec<String> {
        self.of_inventory(Inventory::all_labels)
    }

    fn apps(&self) -> Vec<String> {
        self.of_inventory(Inventory::locations).into_iter().map(|(_, app)| app).collect()
    }

    fn locations(&self) -> Vec<String> {
        self.of_inventory(Inventory::locations).into_iter().map(|(location, _)| location).collect()
    }

    fn images(&self) -> Vec<String> {
        self.of_cloud("images", |cloud| ids(cloud.images().unwrap_or_default(), |image| image.id))
    }

    fn sizes(&self) -> Vec<String> {
        self.of_cloud("sizes", |cloud| ids(cloud.sizes().unwrap_or_default(), |size| size.id))
    }

    fn regions(&self) -> Vec<String> {
        self.of_cloud("locations", |cloud| ids(cloud.regions().unwrap_or_default(), |region| region.id))
    }
}

fn ids<T>(items: Vec<T>, id: impl Fn(T) -> String) -> Vec<String> {
    items.into_iter().map(id).collect()
}
