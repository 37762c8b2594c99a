//! The page that says why the app does not serve, or why a request failed: for people in a browser, or as text for others.

use handlebars::Handlebars;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::Failure;
use crate::node::Program;

const TEMPLATE: &str = "develop/failure.html.hbs";

/// What went wrong.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    pub message: String,
    #[serde(default)]
    pub hint: Option<String>,
    /// Lines that help to understand it.
    #[serde(default)]
    pub lines: Vec<String>,
    /// Exceptions, the first cause first.
    #[serde(default)]
    pub traces: Vec<Trace>,
    /// The module that was not found, and the interpreter that looked for it.
    #[serde(default)]
    pub missing: Option<String>,
    #[serde(default)]
    pub python: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trace {
    title: String,
    frames: Vec<Frame>,
}

/// A line of the source on the way to the exception, the last one is where it was raised.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Frame {
    file: String,
    line: usize,
    function: String,
    /// It is the app's own.
    own: bool,
    /// Lines around it, with their numbers.
    code: Vec<(usize, String)>,
}

impl From<&Failure> for Report {
    fn from(failure: &Failure) -> Self {
        let mut lines: Vec<String> = failure.message.lines().map(str::to_owned).collect();
        let message = match lines.len() {
            0 | 1 => lines.pop().unwrap_or_default(),
            several => format!("There are {several} mistakes."),
        };
        lines.extend(failure.details.iter().cloned());
        Report { message, hint: failure.hint.clone(), lines, ..Report::default() }
    }
}

impl Report {
    /// Its content type and its text.
    pub fn page(&self, app: &str, for_browser: bool) -> (&'static str, String) {
        if for_browser && let Some(page) = self.html(app) {
            return ("text/html; charset=utf-8", page);
        }
        ("text/plain; charset=utf-8", self.text())
    }

    fn html(&self, app: &str) -> Option<String> {
        let traces: Vec<_> = self
            .traces
            .iter()
            .map(|trace| {
                let last = trace.frames.len().saturating_sub(1);
                let last_own = trace.frames.iter().rposition(|frame| frame.own).unwrap_or(last);
                let frames: Vec<_> = trace
                    .frames
                    .iter()
                    .enumerate()
                    .map(|(index, frame)| {
                        let lines: Vec<_> = frame
                            .code
                            .iter()
                            .map(
                                |(number, text)| json!({"number": number, "text": text, "here": *number == frame.line}),
                            )
                            .collect();
                        json!({"frame": frame, "lines": lines, "open": index == last_own || index == last})
                    })
                    .collect();
                json!({"title": trace.title, "frames": frames})
            })
            .collect();
        let title = self.traces.last().map_or(&self.message, |trace| &trace.title);
        let more = !self.traces.is_empty();
        let data = json!({"app": app, "title": title, "more": more, "report": self, "traces": traces});
        Handlebars::new().render_template(Program::template(TEMPLATE)?, &data).ok()
    }

    fn text(&self) -> String {
        let mut text = format!("{}\n", self.message);
        for trace in &self.traces {
            text.push('\n');
            for frame in &trace.frames {
                let function =
                    if frame.function.is_empty() { String::new() } else { format!(", in {}", frame.function) };
                text += &format!("{}:{}{function}\n", frame.file, frame.line);
                let here = frame.code.iter().find(|(number, _)| *number == frame.line);
                text += &here.map(|(_, code)| format!("    {}\n", code.trim())).unwrap_or_default();
            }
            text += &format!("{}\n", trace.title);
        }
        for line in &self.lines {
            text += &format!("  | {line}\n");
        }
        text + &self.hint.as_ref().map(|hint| format!("\n{hint}\n")).unwrap_or_default()
    }
}
