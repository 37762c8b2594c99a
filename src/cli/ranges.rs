//! Names of several nodes in one word, as shells write them: `web{1..3}`, `{a,b}-{01..02}`. Pure.

use crate::error::{Failure, Kind};

/// More nodes at once are a slip of the finger.
const MOST: usize = 100;

/// All names of these words, in order.
///
/// Errors: a brace that is not understood, a name twice, more than 100 names.
pub(super) fn expand_all(words: &[String]) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = Vec::new();
    for word in words {
        for name in expand(word).map_err(|reason| Failure::new(Kind::Usage, format!("{word:?}: {reason}")))? {
            if names.contains(&name) {
                return Err(Failure::new(Kind::Usage, format!("{name} is named twice")));
            }
            names.push(name);
        }
    }
    if names.len() > MOST {
        return Err(Failure::new(Kind::Usage, format!("{} nodes at once: at most {MOST}", names.len())));
    }
    Ok(names)
}

fn expand(word: &str) -> Result<Vec<String>, String> {
    let Some((before, rest)) = word.split_once('{') else {
        return if word.contains('}') { Err("a } without {".into()) } else { Ok(vec![word.to_owned()]) };
    };
    let (inside, after) = rest.split_once('}').ok_or("a { without }")?;
    if before.contains('}') || inside.contains('{') {
        return Err("braces within braces are not understood".into());
    }
    let middles = match inside.split_once("..") {
        Some((first, last)) => range(first, last)?,
        None if inside.contains(',') => inside.split(',').map(str::to_owned).collect(),
        None => return Err("braces hold a range (1..3) or a list (a,b)".into()),
    };
    let ends = expand(after)?;
    if middles.len() * ends.len() > MOST {
        return Err(format!("more than {MOST} names"));
    }
    Ok(middles.iter().flat_map(|middle| ends.iter().map(move |end| format!("{before}{middle}{end}"))).collect())
}

/// Numbers from first to last, up or down; zeros in front are kept.
fn range(first: &str, last: &str) -> Result<Vec<String>, String> {
    let number = |text: &str| match text.parse::<u32>() {
        Ok(number) if text.len() <= 9 && !text.starts_with('+') => Ok(number),
        _ => Err(format!("{text:?} is no number: write {{1..3}}")),
    };
    let (from, to) = (number(first)?, number(last)?);
    if from.abs_diff(to) as usize >= MOST {
        return Err(format!("more than {MOST} names"));
    }
    let padded = |text: &str| text.len() > 1 && text.starts_with('0');
    let width = if padded(first) || padded(last) { first.len().max(last.len()) } else { 0 };
    let write = |number: u32| format!("{number:0width$}");
    Ok(if from <= to { (from..=to).map(write).collect() } else { (to..=from).rev().map(write).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(words: &str) -> Result<String, String> {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        expand_all(&words).map(|names| names.join(" ")).map_err(|failure| failure.message)
    }

    #[test]
    fn ranges_and_lists_are_those_of_a_shell() {
        for (words, names) in [
            ("web", "web"),
            ("web{1..3} other", "web1 web2 web3 other"),
            ("web{3..1}", "web3 web2 web1"),
            ("n{08..10}.x", "n08.x n09.x n10.x"),
            ("{a,b}{1..2}", "a1 a2 b1 b2"),
            ("w{,-old}", "w w-old"),
        ] {
            assert_eq!(expanded(words).as_deref(), Ok(names));
        }
        for bad in [
            "a{",
            "a}",
            "a{1}",
            "a{1..}",
            "a{b..c}",
            "a{-1..2}",
            "a{+1..2}",
            "{a{1..2}}",
            "a{1..101}",
            "a{0..999999999}",
            "x{1..50}{1..50}",
            "a{1..2} a1",
        ] {
            assert!(expanded(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_word_is_expanded_or_refused(word in "[a-z0-9{},.-]{0,24}") {
            if let Ok(names) = expand_all(std::slice::from_ref(&word)) {
                assert!(!names.is_empty() && names.len() <= MOST);
                assert!(names.iter().all(|name| !name.contains(['{', '}'])));
                if !word.contains('{') {
                    assert_eq!(names, [word]);
                }
            }
        }
    }
}
