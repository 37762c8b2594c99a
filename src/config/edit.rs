//! Changing the user's configuration: one section is written, everything else stays byte for byte.

use std::collections::HashMap;
use std::fs::DirBuilder;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::error::{Error, Problem};
use super::ini_file::{self, Section};
use super::user;

/// The text with these settings in `[section]`: those that are there get their new values where they stand, others follow the section's last
/// one, and a section that is missing is put at the end. `path` is for the messages.
///
/// Errors: [`Error::Problems`] for a value that a line cannot hold, and for a file in which the new lines would not mean that.
pub fn set(path: &Path, text: &str, section: &str, settings: &[(String, String)]) -> Result<String, Error> {
    let problem = |key: &str, message: &str| {
        let key = format!("{section}.{key}");
        Error::Problems(vec![Problem {
            file: path.to_owned(),
            line: None,
            key,
            message: message.to_owned(),
            suggestion: None,
        }])
    };
    if let Some((key, _)) = settings.iter().find(|(_, value)| !fits_a_line(value)) {
        return Err(problem(key, "the value has to be one line without blanks around it"));
    }
    let changed = change(path, text, section, settings);
    let (file, _) = ini_file::parse(path, &changed, &user::DIALECT);
    let read_back = |key: &str| file.section(section).and_then(|section| section.entry(key)).map(|entry| entry.text());
    match settings.iter().find(|(key, value)| read_back(key).as_deref() != Some(value)) {
        Some((key, _)) => Err(problem(key, "it cannot be set in this file as it is: something around it is not right")),
        None => Ok(changed),
    }
}

fn change(path: &Path, text: &str, section: &str, settings: &[(String, String)]) -> String {
    let (file, _) = ini_file::parse(path, text, &user::DIALECT);
    let Some(found) = file.section(section) else { return append(text, section, settings) };
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    // What is instead of a line, by its number; comments and blank lines within a value stay.
    let mut changes: HashMap<usize, String> = HashMap::new();
    let mut new = String::new();
    // A line that is indented less than its neighbour would take it in.
    let indent = |number: usize| {
        let line = lines.get(number - 1).copied().unwrap_or_default();
        &line[..line.len() - line.trim_start().len()]
    };
    let end = last_line(found);
    let last_key = found.entries.last().map_or(found.line, |entry| entry.line);
    for (key, value) in settings {
        match found.entry(key) {
            Some(entry) => {
                changes.extend(entry.values.iter().map(|(line, _)| (*line, String::new())));
                changes.insert(entry.line, format!("{}{key} = {value}\n", indent(entry.line)));
            }
            None => new += &format!("{}{key} = {value}\n", indent(last_key)),
        }
    }
    let mut result = String::new();
    for (number, line) in (1..).zip(&lines) {
        result += changes.get(&number).map_or(line, String::as_str);
        if number == end && !new.is_empty() {
            if !result.ends_with('\n') {
                result.push('\n');
            }
            result += &new;
        }
    }
    result
}

fn fits_a_line(value: &str) -> bool {
    !value.contains(['\n', '\r', '\0']) && value.trim() == value
}

/// The number of a section's last line that says something.
fn last_line(section: &Section) -> usize {
    let lines = section.entries.iter().flat_map(|entry| entry.values.iter().map(|(line, _)| *line).chain([entry.line]));
    lines.max().unwrap_or(section.line)
}

fn append(text: &str, section: &str, settings: &[(String, String)]) -> String {
    let mut result = text.to_owned();
    if !result.is_empty() {
        result += if result.ends_with('\n') { "\n" } else { "\n\n" };
    }
    result += &format!("[{section}]\n");
    for (key, value) in settings {
        result += &format!("{key} = {value}\n");
    }
    result
}

/// Writes the user's configuration, by rename, for the user alone to read. A link stays one.
///
/// Errors: [`Error::Write`].
pub fn write(path: &Path, text: &str) -> Result<(), Error> {
    let write = || -> std::io::Result<()> {
        let path = if path.exists() { path.canonicalize()? } else { path.to_owned() };
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        // Its mode is 0600.
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|source| Error::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn pairs(settings: &[(&str, &str)]) -> Vec<(String, String)> {
        settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn set_in(text: &str, section: &str, settings: &[(&str, &str)]) -> String {
        set(Path::new("x.ini"), text, section, &pairs(settings)).unwrap()
    }

    #[test]
    fn a_new_section_follows_what_is_there() {
        assert_eq!(set_in("", "provider:a", &[("provider", "local")]), "[provider:a]\nprovider = local\n");
        assert_eq!(set_in("# mine\n", "s", &[("k", "v")]), "# mine\n\n[s]\nk = v\n");
        assert_eq!(set_in("[a]\nb = c", "s", &[("k", "v")]), "[a]\nb = c\n\n[s]\nk = v\n");
    }

    #[test]
    fn only_the_lines_of_the_keys_change() {
        let text =
            "# first\r\n[s]\n; why\nk  =  old\n\n# between\nlist =\n  a\n\n  b\n# last of s\n\n[t]\nk = theirs\n";
        let expected =
            "# first\r\n[s]\n; why\nk = new\n\n# between\nlist = c\n\nadded = 1\n# last of s\n\n[t]\nk = theirs\n";
        assert_eq!(set_in(text, "s", &[("k", "new"), ("list", "c"), ("added", "1")]), expected);
        assert_eq!(set_in(" [s]\n k = 1\n [t]\n", "s", &[("k", "2"), ("l", "3")]), " [s]\n k = 2\n l = 3\n [t]\n");
        assert_eq!(set_in("[s]", "s", &[("k", "v")]), "[s]\nk = v\n");
        assert_eq!(set_in("[s]\nk = 1", "s", &[("l", "v")]), "[s]\nk = 1\nl = v\n");
    }

    #[test]
    fn what_would_be_another_line_is_refused() {
        for bad in ["a\nb", "a\r", " a", "a\0"] {
            assert!(set(Path::new("x"), "", "s", &pairs(&[("k", bad)])).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn it_is_written_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/cloudtool.ini");
        write(&path, "[a]\n").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let link = dir.path().join("link.ini");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&link, "[b]\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[b]\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    proptest::proptest! {
        #[test]
        fn everything_else_stays_and_the_value_is_read_back(
            before in "(\\[[ab]\\]\n|[kl] = [a-z ]{0,5}\n| [a-z]{1,4}\n|# [a-z]{0,4}\n|\n){0,8}",
            value in "[a-z#;=\\[\"]([a-z ;#]{0,6}[a-z])?",
        ) {
            let Ok(after) = set(Path::new("x"), &before, "a", &pairs(&[("k", &value)])) else { return Ok(()) };
            // The value, and all other entries with the number of their section.
            let read = |text: &str| {
                let (file, _) = ini_file::parse(Path::new("x"), text, &user::DIALECT);
                let target = file.sections.iter().position(|section| section.name == "a");
                let mut value = None;
                let mut others = Vec::new();
                for (index, section) in file.sections.iter().enumerate() {
                    for entry in &section.entries {
                        if Some(index) == target && entry.key == "k" {
                            value = Some(entry.text());
                        } else {
                            others.push((index, entry.key.clone(), entry.text()));
                        }
                    }
                }
                (value, others)
            };
            let (new, others) = read(&after);
            proptest::prop_assert_eq!(new, Some(value));
            proptest::prop_assert_eq!(others, read(&before).1);
            // Comments too.
            for comment in before.lines().filter(|line| line.starts_with('#')) {
                proptest::prop_assert!(after.contains(comment));
            }
        }
    }
}
