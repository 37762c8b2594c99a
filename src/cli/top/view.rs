//! What is shown, and what keys do with it. Pure.

use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::time::Instant;

use serde_json::Value;

use crate::cli::query::words;
use crate::cli::status::live_slot;
use crate::ui::Key;

/// What comes from a node, by its number.
pub(super) enum Update {
    Status { node: usize, answer: Value },
    Errors { node: usize, app: String, lines: Vec<String> },
    Away { node: usize, why: String },
}

/// A node as it was seen last.
pub(super) struct NodeView {
    pub(super) name: String,
    /// The last answer of `status`; none yet: it is being asked.
    pub(super) answer: Option<Value>,
    /// When that came.
    pub(super) heard: Option<Instant>,
    /// Why it does not answer now.
    pub(super) away: Option<String>,
}

/// The columns that can be sorted by; numbers from the largest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Name,
    Requests,
    P95,
    Failed,
    Memory,
}

impl Sort {
    const ALL: [Sort; 5] = [Sort::Name, Sort::Requests, Sort::P95, Sort::Failed, Sort::Memory];

    fn next(self) -> Self {
        let place = Sort::ALL.iter().position(|sort| *sort == self).unwrap_or_default();
        Sort::ALL[(place + 1) % Sort::ALL.len()]
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Sort::Name => "name",
            Sort::Requests => "requests",
            Sort::P95 => "p95",
            Sort::Failed => "failed",
            Sort::Memory => "memory",
        }
    }

    fn number(self, app: &Value) -> Option<f64> {
        let requests = &app["requests"];
        match self {
            Sort::Name => None,
            Sort::Requests => requests["per_minute"].as_f64(),
            Sort::P95 => requests["p95_ms"].as_f64(),
            Sort::Failed => requests["error_rate"].as_f64(),
            Sort::Memory => live_slot(app)["memory_mb"].as_f64(),
        }
    }
}

/// An app of a node: its place in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) node: usize,
    pub(super) app: String,
}

pub(super) struct View {
    pub(super) nodes: Vec<NodeView>,
    pub(super) sort: Sort,
    pub(super) chosen: Option<Place>,
    /// The last errors of the chosen app, when they are there, oldest first.
    pub(super) errors: Option<Vec<String>>,
    /// They have the whole screen.
    pub(super) open: bool,
}

impl View {
    pub(super) fn new(names: Vec<String>) -> Self {
        let nodes = names.into_iter().map(|name| NodeView { name, answer: None, heard: None, away: None }).collect();
        View { nodes, sort: Sort::Name, chosen: None, errors: None, open: false }
    }

    /// `now`: when it came.
    pub(super) fn take(&mut self, update: Update, now: Instant) {
        match update {
            Update::Status { node, answer } => {
                let node = &mut self.nodes[node];
                (node.answer, node.heard, node.away) = (Some(answer), Some(now), None);
            }
            Update::Away { node, why } => self.nodes[node].away = Some(why),
            Update::Errors { node, app, lines } => {
                if self.chosen == Some(Place { node, app }) {
                    self.errors = Some(lines);
                }
            }
        }
        let places = self.places();
        if !self.chosen.as_ref().is_some_and(|chosen| places.contains(chosen)) {
            self.choose(places.into_iter().next());
        }
    }

    /// Breaks when the user wants to leave.
    pub(super) fn press(&mut self, key: Key) -> ControlFlow<()> {
        match key {
            Key::Char('q') | Key::Interrupt => return ControlFlow::Break(()),
            Key::Char('s') => self.sort = self.sort.next(),
            Key::Enter => self.open = self.chosen.is_some() && !self.open,
            Key::Escape => self.open = false,
            Key::Up => self.step(-1),
            Key::Down => self.step(1),
            Key::Char(_) | Key::Redraw => {}
        }
        ControlFlow::Continue(())
    }

    /// The app of this node whose errors are to be asked for.
    pub(super) fn wish(&self, node: usize) -> Option<String> {
        self.chosen.as_ref().filter(|chosen| chosen.node == node).map(|chosen| chosen.app.clone())
    }

    /// All apps of all nodes, in the order in which they are shown.
    pub(super) fn apps(&self) -> Vec<(Place, &Value)> {
        let mut found = Vec::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let apps = node.answer.iter().flat_map(|answer| answer["apps"].as_array().into_iter().flatten());
            found.extend(apps.map(|app| (Place { node: number, app: words(&app["app"]) }, app)));
        }
        // The sort is stable: those that are alike stay by node and name.
        found.sort_by(|(_, one), (_, other)| largest_first(self.sort.number(one), self.sort.number(other)));
        found
    }

    fn places(&self) -> Vec<Place> {
        self.apps().into_iter().map(|(place, _)| place).collect()
    }

    fn step(&mut self, by: isize) {
        let places = self.places();
        let now = places.iter().position(|place| Some(place) == self.chosen.as_ref()).unwrap_or_default();
        let last = places.len().saturating_sub(1);
        self.choose(places.into_iter().nth(now.saturating_add_signed(by).min(last)));
    }

    fn choose(&mut self, place: Option<Place>) {
        if place != self.chosen {
            self.errors = None;
            self.open &= place.is_some();
            self.chosen = place;
        }
    }
}

fn largest_first(one: Option<f64>, other: Option<f64>) -> Ordering {
    match (one, other) {
        (Some(one), Some(other)) => other.total_cmp(&one),
        (one, other) => other.is_some().cmp(&one.is_some()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn app(name: &str, per_minute: Option<f64>, memory: f64) -> Value {
        json!({"app": name, "serving": {"release": "v3", "state": "running", "since": "2026-01-01T10:00:00Z", "by": "bob@laptop"},
            "requests": {"requests": 10, "per_minute": per_minute, "p95_ms": 12.0, "error_rate": 0.5},
            "slots": {"blue": {"live": true, "memory_mb": memory}},
            "warnings": [{"message": format!("{name} is ill."), "hint": "rest"}]})
    }

    pub(crate) fn watched() -> View {
        let mut view = View::new(vec!["db".into(), "web".into()]);
        let node = json!({"load": {"text": "0.10 0.20 0.30 of 2 processors"}, "warnings": []});
        let apps = [app("blog", None, 9.0), app("shop", Some(120.0), 50.0)];
        view.take(Update::Status { node: 1, answer: json!({"apps": apps, "node": node}) }, Instant::now());
        view
    }

    fn order(view: &View) -> Vec<String> {
        view.places().into_iter().map(|place| place.app).collect()
    }

    #[test]
    fn columns_are_sorted_one_after_the_other() {
        let mut view = watched();
        assert_eq!(order(&view), ["blog", "shop"]);
        for (title, first) in
            [("requests", "shop"), ("p95", "blog"), ("failed", "blog"), ("memory", "shop"), ("name", "blog")]
        {
            assert!(view.press(Key::Char('s')).is_continue());
            assert_eq!((view.sort.title(), order(&view)[0].as_str()), (title, first));
        }
    }

    #[test]
    fn the_chosen_app_stays_chosen_and_its_errors_are_wished_for() {
        let mut view = watched();
        assert_eq!((view.wish(0), view.wish(1)), (None, Some("blog".into())));
        for (key, chosen) in [(Key::Down, "shop"), (Key::Down, "shop"), (Key::Up, "blog"), (Key::Up, "blog")] {
            assert!(view.press(key).is_continue());
            assert_eq!(view.wish(1).as_deref(), Some(chosen));
        }
        let errors = |app: &str| Update::Errors { node: 1, app: app.into(), lines: vec!["boom".into()] };
        // What comes too late is of another app.
        view.take(errors("shop"), Instant::now());
        assert_eq!(view.errors, None);
        view.take(errors("blog"), Instant::now());
        assert_eq!(view.errors.as_deref(), Some(&["boom".to_owned()][..]));
        assert!(view.press(Key::Enter).is_continue() && view.open);
        assert!(view.press(Key::Escape).is_continue() && !view.open);
        // It goes: another takes its place.
        view.take(Update::Status { node: 1, answer: json!({"apps": [app("shop", None, 1.0)]}) }, Instant::now());
        assert_eq!((view.wish(1).as_deref(), view.errors), (Some("shop"), None));
    }

    #[test]
    fn without_apps_nothing_is_chosen() {
        let mut view = View::new(vec!["db".into()]);
        for key in [Key::Down, Key::Up, Key::Enter, Key::Char('x'), Key::Redraw] {
            assert!(view.press(key).is_continue());
        }
        assert!(view.chosen.is_none() && !view.open);
        assert!(view.press(Key::Interrupt).is_break() && view.press(Key::Char('q')).is_break());
    }
}
