//! The whole terminal as a picture, and its keys. Given back when it is dropped, on a panic, and before a signal ends the program.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::{DefaultTerminal, Frame};

/// Whether the whole terminal is ours.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// What somebody pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Enter,
    Escape,
    Up,
    Down,
    /// Ctrl-C, which is a key like others here.
    Interrupt,
    /// The terminal has another size.
    Redraw,
}

pub struct Screen(DefaultTerminal);

impl Screen {
    /// Errors: without a terminal to draw on and to read keys from.
    pub fn open() -> io::Result<Self> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(io::Error::other("standard input and output are not one"));
        }
        TAKEN.store(true, Ordering::SeqCst);
        // From here on a panic gives the terminal back, too.
        ratatui::try_init().map(Screen).inspect_err(|_| give_back_screen())
    }

    pub fn draw(&mut self, picture: impl FnOnce(&mut Frame)) -> io::Result<()> {
        self.0.draw(picture).map(|_| ())
    }

    /// The next key, as long as one is waited for.
    pub fn key(&self, patience: Duration) -> io::Result<Option<Key>> {
        while event::poll(patience)? {
            if let Some(key) = meaning(&event::read()?) {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back_screen();
    }
}

/// Makes the terminal what it was.
pub(super) fn give_back_screen() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        ratatui::restore();
    }
}

fn meaning(event: &Event) -> Option<Key> {
    match event {
        Event::Resize(..) => Some(Key::Redraw),
        Event::Key(KeyEvent { kind: KeyEventKind::Press, code, modifiers, .. }) => match code {
            KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Interrupt),
            KeyCode::Char(char) => Some(Key::Char(*char)),
            KeyCode::Enter => Some(Key::Enter),
            KeyCode::Esc => Some(Key::Escape),
            KeyCode::Up => Some(Key::Up),
            KeyCode::Down => Some(Key::Down),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_a_meaning() {
        let key = |code, modifiers| meaning(&Event::Key(KeyEvent::new(code, modifiers)));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::Interrupt));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::NONE), Some(Key::Char('c')));
        assert_eq!(key(KeyCode::Up, KeyModifiers::NONE), Some(Key::Up));
        assert_eq!(key(KeyCode::F(1), KeyModifiers::NONE), None);
        assert_eq!(meaning(&Event::Resize(80, 24)), Some(Key::Redraw));
    }
}
