//! The steps of a run: a line each with its seconds, a spinner or a bar while one runs and somebody watches.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::{Ui, plain};

/// Shows steps one after the other and remembers how long each took.
pub struct Steps {
    ui: Ui,
    bar: ProgressBar,
    current: Option<(String, Instant)>,
    timings: Vec<(String, Duration)>,
}

impl Steps {
    pub(super) fn new(ui: Ui) -> Self {
        let target = if ui.animates() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Steps { ui, bar: ProgressBar::with_draw_target(None, target), current: None, timings: Vec::new() }
    }

    /// A step begins. The one before, if it was not ended, ends.
    pub fn start(&mut self, step: &str) {
        if self.current.is_some() {
            self.done("");
        }
        self.ui.event(&json!({"event": "step", "step": step, "state": "start"}));
        // The template is a constant, so a mistake in it would show in the first test.
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg} {elapsed}") {
            self.bar.set_style(style);
        }
        self.bar.set_message(step.to_owned());
        self.bar.enable_steady_tick(Duration::from_millis(100));
        self.current = Some((step.to_owned(), Instant::now()));
    }

    /// The current step is done; it took what passed since its start.
    pub fn done(&mut self, detail: &str) {
        if let Some((step, since)) = self.current.take() {
            self.finish(&step, since.elapsed(), detail);
        }
    }

    /// A step of somebody else, who measured it, is done.
    pub fn done_in(&mut self, step: &str, took: Duration, detail: &str) {
        self.current = None;
        self.finish(step, took, detail);
    }

    fn finish(&mut self, step: &str, took: Duration, detail: &str) {
        self.ui.event(
            &json!({"event": "step", "step": step, "state": "done", "seconds": took.as_secs_f64(), "detail": detail}),
        );
        self.bar.disable_steady_tick();
        let seconds = self.ui.paint("2", &format!("{:>7.2} s", took.as_secs_f64()));
        let line = plain(&format!("{step:<12} {detail}")).into_owned();
        let ui = &self.ui;
        if !ui.is_json() {
            self.bar.suspend(|| ui.say_painted(format!("  {seconds}  {}", line.trim_end())));
        }
        self.timings.push((step.to_owned(), took));
    }

    /// How much of the payload has travelled, in bytes.
    pub fn bytes(&self, sent: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(sent);
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg} {bytes}/{total_bytes} {bytes_per_sec}") {
            self.bar.set_style(style);
        }
    }

    /// A line of a program that runs on the node: shown with `-v`.
    pub fn log(&self, source: &str, line: &str) {
        self.ui.event(&json!({"event": "log", "source": source, "line": line}));
        let ui = &self.ui;
        self.bar.suspend(|| ui.detail(format!("             {source}: {line}")));
    }

    /// Something the user waits for that is not a step of ours.
    pub fn waiting(&self, text: &str) {
        let ui = &self.ui;
        self.bar.suspend(|| ui.say(format!("             {text}")));
    }

    pub fn warn(&self, text: &str) {
        self.ui.event(&json!({"event": "warning", "message": text}));
        let ui = &self.ui;
        self.bar.suspend(|| ui.warn(text));
    }

    /// The steps so far with their durations, in the order in which they ended.
    pub fn timings(&self) -> &[(String, Duration)] {
        &self.timings
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
