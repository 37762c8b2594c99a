//! The terminal as something to hand to a program on a node: its kind, its size, and its keys as they are.

use std::io::{IsTerminal, stdin};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::screen::give_back_screen;
use crate::node;

/// How the terminal was before its keys were handed on, while they are.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The terminal on standard input, given back when it is dropped.
pub struct Terminal(());

impl Terminal {
    /// `None` where standard input is none.
    pub fn open() -> Option<Self> {
        stdin().is_terminal().then_some(Terminal(()))
    }
}

impl node::Terminal for Terminal {
    fn kind(&self) -> String {
        std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned())
    }

    fn size(&self) -> (u32, u32) {
        tcgetwinsize(stdin()).map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
    }

    fn begin(&self) {
        // A terminal that cannot be changed is used as it is.
        if let Ok(found) = tcgetattr(stdin()) {
            let mut raw = found.clone();
            raw.make_raw();
            *before() = Some(found);
            let _ = tcsetattr(stdin(), OptionalActions::Now, &raw);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back_terminal();
    }
}

/// Makes the terminal what it was; before the program ends in whatever way.
pub fn give_back_terminal() {
    give_back_screen();
    if let Some(found) = before().take() {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &found);
    }
}

fn before() -> MutexGuard<'static, Option<Termios>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}
