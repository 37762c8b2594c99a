//! A [`View`] as a picture: nodes above, apps below them, the chosen app's warnings and errors at the bottom, the keys in the last line.

use std::time::{Duration, Instant};

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table, TableState};
use serde_json::Value;

use super::view::{NodeView, Place, View};
use crate::cli::query::warnings;
use crate::cli::status::{COLUMNS, row, texts};
use crate::ui;

/// What is older than three times of asking says how old it is.
const OLD: Duration = Duration::from_secs(6);

const KEYS: &str = "q quit   up/down choose   enter its errors   esc back   s sort";

pub(super) fn draw(frame: &mut Frame, view: &View, now: Instant) {
    let nodes = u16::try_from(view.nodes.len()).unwrap_or(u16::MAX);
    let third = frame.area().height / 3;
    let body = if view.open { Constraint::Length(0) } else { Constraint::Fill(2) };
    let [above, middle, below, last] = Layout::vertical([
        Constraint::Length(nodes.min(third.max(1))),
        body,
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Text::from(view.nodes.iter().map(|seen| node(seen, now)).collect::<Vec<_>>()), above);
    if !view.open {
        table(frame, middle, view);
    }
    errors(frame, below, view);
    let sorted = format!("{KEYS} (by {})", view.sort.title());
    frame.render_widget(Line::from(sorted).dim(), last);
}

fn node(node: &NodeView, now: Instant) -> Line<'static> {
    let said = match (&node.away, &node.answer) {
        (Some(why), _) => return Line::from(plain(&format!("{}  does not answer: {why}", node.name))).fg(Color::Red),
        (None, None) => "being asked ...".to_owned(),
        (None, Some(answer)) => {
            texts(&answer["node"]).map(|(name, text)| format!("{name} {text}")).collect::<Vec<_>>().join(", ")
        }
    };
    let age = node.heard.map_or(Duration::ZERO, |heard| now.saturating_duration_since(heard));
    let old = if age > OLD { format!("({} s ago) ", age.as_secs()) } else { String::new() };
    Line::from(plain(&format!("{}  {old}{said}", node.name)))
}

fn table(frame: &mut Frame, area: Rect, view: &View) {
    let apps = view.apps();
    let chosen = apps.iter().position(|(place, _)| Some(place) == view.chosen.as_ref());
    let cells: Vec<[String; COLUMNS.len()]> = apps.iter().map(|(place, app)| of_app(view, place, app)).collect();
    let widths = (0..COLUMNS.len()).map(|column| {
        let cells = cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        Constraint::Length(u16::try_from(cells.max(COLUMNS[column].len())).unwrap_or(u16::MAX))
    });
    let rows = apps.iter().zip(&cells).map(|((place, app), cells)| {
        let is_away = view.nodes[place.node].away.is_some();
        let ill = warnings(app).next().is_some();
        let style = match (is_away, ill) {
            (true, _) => Style::new().add_modifier(Modifier::DIM),
            (false, true) => Style::new().fg(Color::Yellow),
            (false, false) => Style::new(),
        };
        Row::new(cells.iter().map(|cell| Cell::from(cell.clone()))).style(style)
    });
    let table = Table::new(rows, widths)
        .header(Row::new(COLUMNS).bold())
        .column_spacing(2)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .block(Block::new().borders(Borders::TOP));
    frame.render_stateful_widget(table, area, &mut TableState::new().with_selected(chosen));
}

/// As `status` has it; what nobody knows now is not shown as if it were so.
fn of_app(view: &View, place: &Place, app: &Value) -> [String; COLUMNS.len()] {
    let node = &view.nodes[place.node];
    let mut cells = row(&node.name, app).map(|cell| if cell.is_empty() { "-".to_owned() } else { plain(&cell) });
    if node.away.is_some() {
        cells[3] = "unknown".to_owned();
    }
    cells
}

fn errors(frame: &mut Frame, area: Rect, view: &View) {
    let Some(chosen) = &view.chosen else {
        frame.render_widget(Paragraph::new("no app").block(Block::new().borders(Borders::TOP)), area);
        return;
    };
    let app = view.apps().into_iter().find(|(place, _)| place == chosen).map(|(_, app)| app);
    let mut lines: Vec<Line> =
        app.into_iter().flat_map(warnings).map(|warning| Line::from(plain(&warning)).fg(Color::Yellow)).collect();
    let room = usize::from(area.height).saturating_sub(1 + lines.len());
    match &view.errors {
        None => lines.push(Line::from("its errors are being asked for ...").dim()),
        Some(errors) if errors.is_empty() => lines.push(Line::from("it wrote nothing into its error log").dim()),
        Some(errors) => {
            let all: Vec<&str> = errors.iter().flat_map(|record| record.lines()).collect();
            lines.extend(all[all.len().saturating_sub(room)..].iter().map(|line| Line::from(plain(line))));
        }
    }
    let title = format!(" {} on {}: last errors ", chosen.app, view.nodes[chosen.node].name);
    frame.render_widget(Paragraph::new(lines).block(Block::new().borders(Borders::TOP).title(plain(&title))), area);
}

/// Nothing that a terminal obeys, and no tabs, which have no width of their own.
fn plain(text: &str) -> String {
    ui::plain(text).replace('\t', "    ")
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::view::Update;
    use super::super::view::tests::watched;
    use super::*;
    use crate::ui::Key;

    fn picture(view: &View) -> String {
        later(view, Duration::ZERO)
    }

    fn later(view: &View, later: Duration) -> String {
        let mut terminal = Terminal::new(TestBackend::new(110, 16)).unwrap();
        terminal.draw(|frame| draw(frame, view, Instant::now() + later)).unwrap();
        let lines: Vec<String> =
            terminal.backend().to_string().lines().map(|line| line.trim_matches('"').trim_end().to_owned()).collect();
        lines.join("\n").replace('─', "-")
    }

    #[test]
    fn nodes_apps_and_errors_have_their_places() {
        let mut view = watched();
        let errors = vec!["Traceback\n\tboom\x1b[2J".into()];
        view.take(Update::Away { node: 0, why: "db cannot be reached".into() }, Instant::now());
        view.take(Update::Errors { node: 1, app: "blog".into(), lines: errors }, Instant::now());
        insta::assert_snapshot!(picture(&view), @r"
        db  does not answer: db cannot be reached
        web  load 0.10 0.20 0.30 of 2 processors
        --------------------------------------------------------------------------------------------------------------
        NODE  APP   LIVE  STATE    MEMORY  REQ/MIN  P95    FAILED  SINCE                 BY
        web   blog  v3    running  9 MB    -        12 ms  50.0 %  2026-01-01T10:00:00Z  bob@laptop
        web   shop  v3    running  50 MB   120.0    12 ms  50.0 %  2026-01-01T10:00:00Z  bob@laptop





         blog on web: last errors ------------------------------------------------------------------------------------
        blog is ill. -> rest
        Traceback
            boom\u{1b}[2J
        q quit   up/down choose   enter its errors   esc back   s sort (by name)
        ");
        assert!(view.press(Key::Enter).is_continue());
        insta::assert_snapshot!(picture(&view), @r"
        db  does not answer: db cannot be reached
        web  load 0.10 0.20 0.30 of 2 processors
         blog on web: last errors ------------------------------------------------------------------------------------
        blog is ill. -> rest
        Traceback
            boom\u{1b}[2J









        q quit   up/down choose   enter its errors   esc back   s sort (by name)
        ");
    }

    #[test]
    fn what_is_not_known_is_not_shown_as_if_it_were() {
        let mut view = watched();
        assert!(picture(&view).contains("db  being asked ..."));
        assert!(later(&view, Duration::from_secs(30)).contains("web  (30 s ago) load"), "{}", picture(&view));
        view.take(Update::Away { node: 1, why: "the connection broke".into() }, Instant::now());
        let shown = picture(&view);
        assert!(shown.contains("web  does not answer: the connection broke") && shown.contains("unknown"), "{shown}");
        assert!(!shown.contains("running"), "{shown}");
    }
}
