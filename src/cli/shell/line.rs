//! One line of the shell. Pure.

use std::path::PathBuf;

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Nothing, or a comment.
    Empty,
    /// `use CLOUD`: the provider of the lines that follow; without a name, the default one.
    Use(Option<String>),
    /// `on NODE`: the node of the lines that follow; without a name, the default one.
    On(Option<String>),
    /// `source FILE`: the lines of a file.
    Source(PathBuf),
    Exit,
    /// A command of cloudtool, in words.
    Command(Vec<String>),
}

/// The words that only the shell knows.
pub const OWN: [&str; 5] = ["exit", "on", "quit", "source", "use"];

impl Line {
    /// Splits a line into words as a shell does (quotes, backslashes; nothing is expanded). A `cloudtool` in front is left off:
    /// lines copied from elsewhere work.
    ///
    /// Errors: a sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        // Only a whole line is a comment: a `#` may stand in a pattern or a name.
        if text.trim_start().starts_with('#') {
            return Ok(Line::Empty);
        }
        let mut words = shlex::split(&text.replace('#', "\\#")).ok_or("a quotation mark is not closed")?;
        if words.first().is_some_and(|word| word == "cloudtool") {
            words.remove(0);
        }
        let Some(first) = words.first() else { return Ok(Line::Empty) };
        let only = |words: &[String]| match words {
            [_] => Ok(None),
            [_, name] => Ok(Some(name.clone())),
            _ => Err(format!("{} takes one name", words[0])),
        };
        match first.as_str() {
            "use" => Ok(Line::Use(only(&words)?)),
            "on" => Ok(Line::On(only(&words)?)),
            "source" => {
                let file = only(&words)?.ok_or("source takes the name of a file")?;
                Ok(Line::Source(file.into()))
            }
            "exit" | "quit" if words.len() == 1 => Ok(Line::Exit),
            "exit" | "quit" => Err(format!("{first} takes nothing")),
            _ => Ok(Line::Command(words)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(text: &str) -> Vec<String> {
        match Line::parse(text).unwrap() {
            Line::Command(words) => words,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn lines_are_split_and_nothing_is_expanded() {
        assert_eq!(command("update 'my app' --note \"a b\""), ["update", "my app", "--note", "a b"]);
        assert_eq!(command("cloudtool list-nodes"), ["list-nodes"]);
        assert_eq!(command("exec -- echo $HOME `id` ; *"), ["exec", "--", "echo", "$HOME", "`id`", ";", "*"]);
        assert_eq!(command("run shop manage.py"), ["run", "shop", "manage.py"]);
        assert_eq!(command("logs shop --grep #1"), ["logs", "shop", "--grep", "#1"]);
        for empty in ["", "   ", "# a comment 'x", "cloudtool"] {
            assert_eq!(Line::parse(empty).unwrap(), Line::Empty);
        }
    }

    #[test]
    fn the_shells_own_words() {
        assert_eq!(Line::parse("use hetzner").unwrap(), Line::Use(Some("hetzner".into())));
        assert_eq!(Line::parse("on").unwrap(), Line::On(None));
        assert_eq!(Line::parse("source a.txt").unwrap(), Line::Source("a.txt".into()));
        assert_eq!(Line::parse("exit").unwrap(), Line::Exit);
        for wrong in ["use a b", "source", "exit now", "update 'x"] {
            assert!(Line::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_understood_or_refused(text in "\\PC{0,60}") {
            let _ = Line::parse(&text);
        }
    }
}
