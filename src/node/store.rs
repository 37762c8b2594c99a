//! The client's side of a store for backups: the node asks in the middle of a request, and is answered in order
//! (`docs/architecture.md`, "Backups").

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use serde::Deserialize;
use serde_json::{Value, json};

/// More than a node ever asks for or sends at once; whoever does is not our node program.
const WINDOW: u64 = 16 << 20;

/// Where the objects of backups lie. Names have been checked: see [`Question`].
pub trait Store {
    /// Names and sizes of an app's objects.
    fn list(&mut self, app: &str) -> io::Result<BTreeMap<String, u64>>;

    /// Up to `length` bytes of an object; fewer at its end only.
    fn read(&mut self, app: &str, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>>;

    /// Appends to an object that nobody sees before it is committed.
    fn write(&mut self, app: &str, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// The object is whole: from now on it is there, also after a power cut.
    fn commit(&mut self, app: &str, name: &str) -> io::Result<()>;

    /// Nothing to do when it is not there.
    fn delete(&mut self, app: &str, name: &str) -> io::Result<()>;

    /// Takes away what was begun and abandoned, unless it may still be written to.
    fn sweep(&mut self, _app: &str) -> io::Result<()> {
        Ok(())
    }

    /// An app moves, and all of it is in the store: returns when it serves elsewhere. `backup`: of its data, if it has any.
    fn handed(&mut self, _backup: Option<&str>) -> io::Result<()> {
        Err(io::Error::other("nothing is moved here"))
    }
}

/// What the node asks.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(super) enum Question {
    List { app: String },
    Read { app: String, name: String, offset: u64, length: u64 },
    Write { app: String, name: String, bytes: u64 },
    Commit { app: String, name: String },
    Delete { app: String, name: String },
    Sweep { app: String },
    Handed { backup: Option<String> },
}

/// Answers a question of the node: reads what follows it from `input`, and writes the answer to `output`.
///
/// # Errors
/// When the connection fails, or the node asks for what no store has. An error of the store goes to the node.
pub(super) fn answer(
    store: &mut dyn Store,
    question: Question,
    input: &mut dyn Read,
    output: &mut dyn Write,
) -> io::Result<()> {
    let done = match question {
        Question::List { app } => store.list(plain(&app)?).map(|objects| (json!({"objects": objects}), Vec::new())),
        Question::Read { app, name, offset, length } => store
            .read(plain(&app)?, plain(&name)?, offset, bounded(length)?)
            .map(|bytes| (json!({"bytes": bytes.len()}), bytes)),
        Question::Write { app, name, bytes } => {
            let mut content = vec![0; bounded(bytes)?];
            input.read_exact(&mut content)?;
            store.write(plain(&app)?, plain(&name)?, &content).map(nothing)
        }
        Question::Commit { app, name } => store.commit(plain(&app)?, plain(&name)?).map(nothing),
        Question::Delete { app, name } => store.delete(plain(&app)?, plain(&name)?).map(nothing),
        Question::Sweep { app } => store.sweep(plain(&app)?).map(nothing),
        Question::Handed { backup } => store.handed(backup.as_deref().map(plain).transpose()?).map(nothing),
    };
    let (told, bytes) = done.unwrap_or_else(|error| (json!({"error": error.to_string()}), Vec::new()));
    let mut message = format!("{told}\n").into_bytes();
    message.extend_from_slice(&bytes);
    output.write_all(&message)
}

fn nothing((): ()) -> (Value, Vec<u8>) {
    (json!({}), Vec::new())
}

/// A node is not trusted with our disk: a name is one segment of a path and hides nothing.
fn plain(name: &str) -> io::Result<&str> {
    let fine = !name.is_empty()
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if fine { Ok(name) } else { Err(io::Error::other(format!("the node asks for {name:?}, which no backup has"))) }
}

fn bounded(bytes: u64) -> io::Result<usize> {
    match usize::try_from(bytes) {
        Ok(size) if bytes <= WINDOW => Ok(size),
        _ => Err(io::Error::other(format!("the node asks for {bytes} bytes at once"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Empty;

    impl Store for Empty {
        fn list(&mut self, _: &str) -> io::Result<BTreeMap<String, u64>> {
            Ok(BTreeMap::from([("a.json".to_owned(), 3)]))
        }
        fn read(&mut self, _: &str, _: &str, _: u64, _: usize) -> io::Result<Vec<u8>> {
            Ok(b"abc".to_vec())
        }
        fn write(&mut self, _: &str, _: &str, _: &[u8]) -> io::Result<()> {
            Err(io::Error::other("no room"))
        }
        fn commit(&mut self, _: &str, _: &str) -> io::Result<()> {
            Ok(())
        }
        fn delete(&mut self, _: &str, _: &str) -> io::Result<()> {
            Ok(())
        }
    }

    fn ask(question: &str, mut input: &[u8]) -> io::Result<String> {
        let question = serde_json::from_str(question).expect("a question");
        let mut output = Vec::new();
        answer(&mut Empty, question, &mut input, &mut output)?;
        Ok(String::from_utf8(output).expect("text"))
    }

    #[test]
    fn every_question_has_an_answer() {
        assert_eq!(ask(r#"{"op":"list","app":"a"}"#, b"").unwrap(), "{\"objects\":{\"a.json\":3}}\n");
        let read = r#"{"op":"read","app":"a","name":"x","offset":0,"length":3}"#;
        assert_eq!(ask(read, b"").unwrap(), "{\"bytes\":3}\nabc");
        assert_eq!(ask(r#"{"op":"commit","app":"a","name":"x"}"#, b"").unwrap(), "{}\n");
        let write = r#"{"op":"write","app":"a","name":"x","bytes":2}"#;
        assert_eq!(ask(write, b"xy").unwrap(), "{\"error\":\"no room\"}\n");
    }

    #[test]
    fn a_node_cannot_leave_the_store() {
        for name in ["", "..", "../x", "a/b", ".hidden", "/etc/passwd", "a\\u0000b"] {
            let question = format!(r#"{{"op":"delete","app":"a","name":"{name}"}}"#);
            assert!(ask(&question, b"").is_err(), "{name}");
        }
        assert!(ask(r#"{"op":"list","app":"../b"}"#, b"").is_err());
        assert!(ask(r#"{"op":"write","app":"a","name":"x","bytes":99999999999}"#, b"").is_err());
    }
}
