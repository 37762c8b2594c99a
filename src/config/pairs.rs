//! Lines `NAME=value`: what `config edit` shows, and what the file of `config.default` holds. A value that such a line cannot hold as it
//! is stands in double quotes, as in JSON.

use std::collections::BTreeMap;

use super::values;

/// Names and values, or all that is wrong, each with its line (from 1) and without the value.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, Vec<(usize, String)>> {
    let (mut pairs, mut problems) = (BTreeMap::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match pair(line) {
            Ok((name, _)) if pairs.contains_key(&name) => problems.push((index + 1, format!("{name} is there twice"))),
            Ok((name, value)) => drop(pairs.insert(name, value)),
            Err(message) => problems.push((index + 1, message)),
        }
    }
    if problems.is_empty() { Ok(pairs) } else { Err(problems) }
}

fn pair(line: &str) -> Result<(String, String), String> {
    let (name, value) = line.split_once('=').ok_or("the line is not NAME=value")?;
    let (name, value) = (name.trim(), value.trim());
    values::variable(name).map_err(|message| format!("{}: {message}", values::quoted(name)))?;
    let value = if value.starts_with('"') {
        serde_json::from_str(value).map_err(|_| format!("{name}: what begins with a quote is written as in JSON"))?
    } else {
        value.to_owned()
    };
    values::variable_value(&value).map_err(|message| format!("{name}: {message}"))?;
    Ok((name.to_owned(), value))
}

/// A line of it, without its end.
pub fn line(name: &str, value: &str) -> String {
    let plain = value.trim() == value && !value.starts_with('"') && !value.contains(|c: char| c.is_control());
    if plain { format!("{name}={value}") } else { format!("{name}={}", serde_json::Value::from(value)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back() {
        for value in ["", "a", " a ", "a=b", "\"", "\"a\"", "two\nlines\n", "\t", "#", "$(x) `y` \\ é 😀", "'"] {
            let text = format!("# a comment\n\n{}\n", line("NAME", value));
            assert_eq!(parse(&text).unwrap()["NAME"], value, "{text}");
        }
        assert_eq!(line("A", "b c"), "A=b c");
    }

    #[test]
    fn all_mistakes_are_told_without_the_values() {
        let problems =
            parse("A=1\nA=2\nCONFIG_X=secret\n1=secret\nsecret\nB=\"secret\nC=\u{7}secret\nB=1\n").unwrap_err();
        assert_eq!(problems.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7]);
        assert!(problems.iter().all(|(_, message)| !message.contains("secret")), "{problems:?}");
    }
}
