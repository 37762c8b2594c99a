//! `top`: `status`, again and again, on the whole terminal. A thread a node asks it over one session that stays open ([`watch`]); what
//! came and which keys were pressed makes a [`view::View`], and that a picture ([`picture`]).

mod picture;
mod view;
mod watch;

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use clap::Args;

use super::context::Context;
use super::where_from::Nodes;
use crate::error::{Failure, Kind};
use crate::ui::Screen;
use view::View;

/// How long a key or an answer may wait until it is seen.
const LOOK: Duration = Duration::from_millis(50);
/// How old what a node has said may look on the screen.
const REDRAW: Duration = Duration::from_secs(1);

/// Watch nodes and apps live: load, requests, releases, last errors
///
/// Of all known nodes, every two seconds. Up and down choose an app, whose last errors are below; Enter shows more of them, and Esc goes
/// back; s sorts by the next column; q ends. A node that does not answer is shown as such. Once, and without a terminal, `status` says
/// the same.
#[derive(Debug, Args)]
pub(super) struct Top {
    #[command(flatten)]
    nodes: Nodes,
}

pub(super) fn run(context: &Context, args: Top) -> Result<(), Failure> {
    let cannot = |why: String| Failure::new(Kind::Usage, why).hint("cloudtool status shows the same once");
    if context.ui.is_json() {
        return Err(cannot("top draws on a terminal, and --json asks for data".to_owned()));
    }
    let mut nodes = args.nodes.all(context)?;
    nodes.sort_by(|one, other| one.name.cmp(&other.name));
    let (seen, updates) = channel();
    let mut view = View::new(nodes.iter().map(|node| node.name.clone()).collect());
    let mut screen = Screen::open().map_err(|error| cannot(format!("top needs a terminal to draw on: {error}")))?;
    let broken = |error: std::io::Error| cannot(format!("the terminal cannot be drawn on: {error}"));
    let watches: Vec<watch::Watch> = nodes
        .into_iter()
        .enumerate()
        .map(|(number, node)| watch::Watch::start(context.for_one_of_several(&node.name), number, node, seen.clone()))
        .collect();
    loop {
        for (number, watch) in watches.iter().enumerate() {
            watch.wish(view.wish(number));
        }
        screen.draw(|frame| picture::draw(frame, &view, Instant::now())).map_err(broken)?;
        let (drawn, mut changed) = (Instant::now(), false);
        while !changed && drawn.elapsed() < REDRAW {
            while let Some(key) = screen.key(if changed { Duration::ZERO } else { LOOK }).map_err(broken)? {
                changed = true;
                if view.press(key).is_break() {
                    return Ok(());
                }
            }
            for update in updates.try_iter() {
                changed = true;
                view.take(update, Instant::now());
            }
        }
    }
}
