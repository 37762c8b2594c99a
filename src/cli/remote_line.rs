//! A command for a node as the one line that SSH carries. Pure.

use crate::error::{Failure, Kind};

/// One word is a line for the node's shell, as it is; several are a program and its arguments, which arrive unchanged.
pub(super) fn of(words: &[String]) -> Result<String, Failure> {
    match words {
        [line] => Ok(line.clone()),
        words => shlex::try_join(words.iter().map(String::as_str))
            .map_err(|_| Failure::new(Kind::Usage, "a NUL character cannot be an argument")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_arrive_as_they_are() {
        let line = |words: &[&str]| of(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(line(&["ls *.txt | wc"]).unwrap(), "ls *.txt | wc");
        assert_eq!(line(&["ls", "a b", "*", "$HOME"]).unwrap(), "ls 'a b' '*' '$HOME'");
        assert!(line(&["a", "b\0"]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn a_shell_reads_back_what_was_said(words in proptest::collection::vec("[ -~äß\n]{0,12}", 2..5)) {
            assert_eq!(shlex::split(&of(&words).unwrap()).unwrap(), words);
        }
    }
}
