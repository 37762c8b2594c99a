//! The terminal: the only place that writes to it or asks a question there.
//!
//! Data goes to standard output, talk and progress to standard error. With `--json` the data is JSON: one document for a
//! query, one line an event for a run. Nothing moves and nothing is coloured when standard error is not a terminal.

mod progress;
mod screen;
mod table;
mod terminal;

use std::borrow::Cow;
use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use crate::error::{Failure, Kind};
use crate::names::Secret;

pub use progress::Steps;
pub use screen::{Key, Screen};
pub use table::Table;
pub use terminal::{Terminal, give_back_terminal};

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Colour {
    Auto,
    Always,
    Never,
}

/// How the user wants to be talked to.
#[derive(Clone, Debug)]
pub struct Ui {
    json: bool,
    verbosity: i8,
    colour: bool,
    /// Standard output is a terminal; and is coloured.
    data_terminal: bool,
    data_colour: bool,
    interactive: bool,
    assume_yes: bool,
    /// The node the talk is about, where there are several at once.
    node: Option<Arc<str>>,
}

impl Ui {
    /// `verbosity`: -1 for `-q`, 0, 1 for `-v`, 2 for `-vv`, ...
    pub fn new(json: bool, verbosity: i8, colour: Colour, assume_yes: bool) -> Self {
        let stderr = std::io::stderr().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colours = |terminal: bool| match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && !dumb && !no_color,
        };
        let data_terminal = std::io::stdout().is_terminal();
        let interactive = stderr && std::io::stdin().is_terminal();
        let (colour, data_colour) = (colours(stderr), colours(data_terminal));
        Ui { json, verbosity, colour, data_terminal, data_colour, interactive, assume_yes, node: None }
    }

    /// For a question, whose answer is one document with `--json`: the steps on the way are no events, and told with `-v` only.
    pub fn for_a_question(&self) -> Self {
        Ui { verbosity: self.verbosity - 1, json: false, ..self.clone() }
    }

    /// For the work on one node beside that on others: talk begins with the node's name and is only shown with `-v`, events carry
    /// the name, nothing moves, and nothing is asked.
    pub fn for_one_of_several(&self, node: &str) -> Self {
        Ui { verbosity: self.verbosity - 1, interactive: false, node: Some(node.into()), ..self.clone() }
    }

    pub fn is_json(&self) -> bool {
        self.json
    }

    pub fn is_verbose(&self) -> bool {
        self.verbosity > 0
    }

    /// One line of data for people; says nothing with `--json`.
    pub fn line(&self, text: impl AsRef<str>) {
        if !self.json {
            print_out(&plain(text.as_ref()));
        }
    }

    /// One line of a file of somebody's, in an SGR style: on a terminal in colour and without what a terminal would obey, elsewhere
    /// exactly as it is. Says nothing with `--json`.
    pub fn line_of_file(&self, style: &str, text: &str) {
        if self.json {
            return;
        }
        let shown = if self.data_terminal || self.data_colour { plain(text) } else { Cow::Borrowed(text) };
        print_out(&painted(self.data_colour && !style.is_empty(), style, &shown));
    }

    /// One line of what somebody else wrote to their standard error; says nothing with `--json`.
    pub fn line_of_errors(&self, text: impl AsRef<str>) {
        if !self.json {
            self.print_err(&plain(text.as_ref()));
        }
    }

    /// What another program prints, as it is.
    pub fn pass_on(&self, errors: bool, bytes: &[u8]) -> std::io::Result<()> {
        if errors {
            return std::io::stderr().lock().write_all(bytes);
        }
        let mut out = std::io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    /// A whole answer: JSON with `--json`, else what `human` prints.
    pub fn answer(&self, value: &impl Serialize, human: impl FnOnce(&Ui)) {
        if self.json {
            match serde_json::to_string_pretty(value) {
                Ok(text) => print_out(&text),
                Err(error) => self.warn(&format!("the answer cannot be written as JSON: {error}")),
            }
        } else {
            human(self);
        }
    }

    /// One event of a run as a JSON line; says nothing without `--json`.
    pub fn event(&self, value: &Value) {
        if !self.json {
            return;
        }
        match (&self.node, value) {
            (Some(node), Value::Object(fields)) if !fields.contains_key("node") => {
                let mut fields = fields.clone();
                fields.insert("node".into(), json!(**node));
                print_out(&Value::Object(fields).to_string());
            }
            _ => print_out(&value.to_string()),
        }
    }

    /// Talk, on standard error; silent with `-q`.
    pub fn say(&self, text: impl AsRef<str>) {
        if self.verbosity >= 0 {
            self.print_err(&self.named(&plain(text.as_ref())));
        }
    }

    /// The same with colours of ours in it.
    fn say_painted(&self, text: impl AsRef<str>) {
        if self.verbosity >= 0 {
            self.print_err(&self.named(text.as_ref()));
        }
    }

    /// Talk that only `-v` shows.
    pub fn detail(&self, text: impl AsRef<str>) {
        if self.verbosity > 0 {
            self.print_err(&self.named(&self.paint("2", &plain(text.as_ref()))));
        }
    }

    /// A warning; `-q` does not silence it.
    pub fn warn(&self, text: &str) {
        self.print_err(&format!("{} {}", self.paint("33", "warning:"), self.named(&plain(text))));
    }

    /// The end of a run that failed.
    pub fn failure(&self, failure: &Failure) {
        if failure.message.is_empty() {
            return;
        }
        if self.json {
            print_out(
                &json!({"event": "error", "kind": failure.kind.name(), "exit": failure.kind.exit_code(),
                    "message": failure.message, "hint": failure.hint, "details": failure.details})
                .to_string(),
            );
        }
        self.tell(failure);
    }

    /// A failure that does not end the run, on standard error.
    pub fn tell(&self, failure: &Failure) {
        self.print_err(&format!("{} {}", self.paint("1;31", "error:"), plain(&failure.message)));
        for line in &failure.details {
            self.print_err(&format!("  {} {}", self.paint("2", "|"), plain(line)));
        }
        if let Some(hint) = &failure.hint {
            self.print_err(&format!("{} {}", self.paint("1;36", "hint:"), plain(hint)));
        }
    }

    /// Asks a yes-or-no question. Without a terminal it fails and names `--yes`.
    pub fn confirm(&self, question: &str) -> Result<bool, Failure> {
        if self.assume_yes {
            return Ok(true);
        }
        let answer = self.ask(&format!("{question} [y/N] "), "say --yes (-y) to answer yes")?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Asks a yes-or-no question that `--yes` does not answer.
    pub fn confirm_strictly(&self, question: &str) -> Result<bool, Failure> {
        let answer = self.ask(&format!("{question} [y/N] "), "run the command once in a terminal")?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Somebody is there who can answer.
    pub fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Asks to type `name`, for what cannot be taken back.
    pub fn confirm_by_name(&self, what: &str, name: &str) -> Result<(), Failure> {
        if self.assume_yes {
            return Ok(());
        }
        let answer =
            self.ask(&format!("{what}\nType {name} to go on: "), "say --yes (-y) to go on without a question")?;
        if answer.trim() == name {
            Ok(())
        } else {
            Err(Failure::new(Kind::Cancelled, "cancelled: the name was not typed, nothing was changed"))
        }
    }

    /// Asks for a line of text; without a terminal it fails and says what to do instead. An empty answer is `None`.
    pub fn ask_text(&self, question: &str, without_terminal: &str) -> Result<Option<String>, Failure> {
        let answer = self.ask(&format!("{question}: "), without_terminal)?;
        Ok(Some(answer.trim().to_owned()).filter(|answer| !answer.is_empty()))
    }

    /// Asks for something that does not appear on the terminal. `what` names it.
    pub fn ask_secret(&self, what: &str) -> Result<Secret, Failure> {
        if !self.interactive {
            return Err(Failure::new(Kind::NeedsPerson, format!("{what} has to be typed, and there is no terminal")));
        }
        let typed = rpassword::prompt_password(format!("{what}: "))
            .map_err(|error| Failure::new(Kind::NeedsPerson, format!("{what} cannot be read: {error}")))?;
        Ok(Secret::new(typed))
    }

    fn ask(&self, prompt: &str, without_terminal: &str) -> Result<String, Failure> {
        if !self.interactive {
            return Err(Failure::new(
                Kind::NeedsPerson,
                format!("a question needs a terminal: {}", prompt.trim().replace('\n', " ")),
            )
            .hint(without_terminal.to_owned()));
        }
        let mut stderr = std::io::stderr().lock();
        // A prompt that cannot be written is a prompt nobody answers: the read below then ends it.
        let _ = write!(stderr, "{prompt}");
        let _ = stderr.flush();
        let mut answer = String::new();
        match std::io::stdin().lock().read_line(&mut answer) {
            Ok(0) | Err(_) => Err(Failure::new(Kind::Cancelled, "cancelled: no answer")),
            Ok(_) => Ok(answer),
        }
    }

    /// Progress of one run on one node.
    pub fn steps(&self) -> Steps {
        Steps::new(self.clone())
    }

    /// The text in an SGR style (`1;31`, ...) if colours are on.
    pub fn paint(&self, style: &str, text: &str) -> String {
        painted(self.colour, style, text).into_owned()
    }

    fn animates(&self) -> bool {
        self.interactive && !self.json && self.verbosity >= 0
    }

    fn named<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match &self.node {
            Some(node) => Cow::Owned(format!("{node}: {text}")),
            None => Cow::Borrowed(text),
        }
    }

    fn print_err(&self, text: &str) {
        // Nobody is left to be told when standard error is gone.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }
}

fn painted<'t>(colour: bool, style: &str, text: &'t str) -> Cow<'t, str> {
    if colour { Cow::Owned(format!("\x1b[{style}m{text}\x1b[0m")) } else { Cow::Borrowed(text) }
}

/// The text without what would move the cursor, set the title or colour what follows: it may come from an app, a node, or a file name.
/// Lines and tabs stay.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    let controls = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(controls) {
        return Cow::Borrowed(text);
    }
    let shown = text.chars().map(|c| if controls(c) { c.escape_default().to_string() } else { c.to_string() });
    Cow::Owned(shown.collect())
}

/// Prints a line of data. A reader that went away (`| head`) ends the program quietly, as for any filter.
fn print_out(text: &str) {
    if writeln!(std::io::stdout().lock(), "{text}").is_err() {
        std::process::exit(141);
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn nothing_that_a_terminal_obeys_is_shown_as_it_is() {
        assert_eq!(plain("ü\ttab\nline"), "ü\ttab\nline");
        assert_eq!(plain("\x1b]0;title\x07\r\u{9b}2J"), "\\u{1b}]0;title\\u{7}\\r\\u{9b}2J");
    }
}
