//! An app.ini with a hundred mistakes gets a hundred messages: each with its line, each saying what would be right.

use std::fmt::Write as _;
use std::path::Path;

use super::parse;
use crate::config::error::Error;

/// A line of the file, and words of the one message about it; none: nothing is wrong with it. `~` is a line of the key above.
type Line = (&'static str, &'static str);

const TOP: &[Line] = &[
    ("early = 1", "before the first [section]"),
    ("[production]", ""),
    ("app_name = My App!", "is not an app name"),
    ("plattform = python", "did you mean \"platform\"?"),
    ("platform = cobol", "write python, php, static or command"),
    ("runner = nothere.py", "there is no file \"nothere.py\" in the app"),
    ("php_root = /var/www", "write it relative to the app's directory"),
    ("requirements = ../requirements.txt", "'..' is not allowed"),
    ("packages =", ""),
    ("~Python3", "names have lower-case letters"),
    ("~g++ ; the compiler", ""),
    ("~make,", "names have lower-case letters"),
    ("~--yes", "names have lower-case letters"),
    ("default_host = -x.example.com", "is not a location"),
    ("default_location =", ""),
    ("~example.com/a b*", "is not a location"),
    ("~example.com:8080", "without port"),
    ("health_check = health", "starts with one '/'"),
    ("health_timeout = soon", "write seconds, or a number with s, m or h"),
    ("health_timeout = 5", "the key is in line 19 already"),
    ("request_timeout = 48h", "from 1s to 24h"),
    ("drain_timeout = 0", "from 1s to 1h"),
    ("processes = 0", "from 1 to 64"),
    ("threads = many", "from 1 to 64"),
    ("memory = 256", "write 256M or 1G"),
    ("snapshot = sometimes", "auto, always or never"),
    ("idle_stop = 2d", "from 1s to 24h"),
    ("idle_ignore = health", "is not a path like /health"),
    ("~/a?b", "is not a path like /health"),
    ("tls = yes", "is neither auto nor a certificate"),
    ("tls_key = -----BEGIN", "env:NAME or file:PATH, never the key itself"),
    ("acme_server = http://ca.example.com/", "https://acme.example.com/directory"),
    ("hsts = 180", "is not a number of days like 180d"),
    ("update_fetch =", ""),
    ("~sync", "a program is written as script:PROGRAM ARGUMENTS"),
    ("~/a b", "write it percent-encoded"),
    ("~//sync", "without scheme and host"),
    ("~script:", "after script: stands a program"),
    ("~script:nothere.sh", "there is no file \"nothere.sh\""),
    ("~script:app.py 'x", "is not closed"),
    ("config.required = API_KEY", ""),
    ("~1KEY", "does not start with a digit"),
    ("~PATH", "this variable is set by the node"),
    ("~CONFIG_X", "are given by the node"),
    ("config.default = site", "\"site\" is not a file"),
    ("config.template = nothere.ini", "there is no file \"nothere.ini\""),
    ("config.checker = check", "module:function"),
    ("config.requird = A", "did you mean \"config.required\"?"),
    ("service.postgress =", "did you mean \"postgresql\"?"),
    ("service.oracle =", "there are: couchdb, files"),
    ("service.files =", ""),
    ("Service.Files =", "the key is in line 51 already"),
    ("version", "neither [section] nor key = value"),
    ("= 3", "neither [section] nor key = value"),
    ("nul = \0", "a NUL character is not allowed"),
    ("[env]", ""),
    ("A-B = 1", "a variable's name has letters, digits and '_'"),
    ("2ND = 1", "does not start with a digit"),
    ("HOME = /root", "this variable is set by the node"),
    ("CLOUDTOOL_RELEASE = v1", "are given by the node"),
    ("BELL = \u{7}", "control character U+0007"),
    ("FINE = ; all of it", ""),
    ("FINE = 2", "the key is in line 62 already"),
    ("[backup]", ""),
    ("every = 1m", "from 5m to 24h"),
    ("at = 25:00", "is not a time of the day like 03:15"),
    ("to =", "the value is missing"),
    ("keep = 7 dayly", "it is like '7 daily, 4 weekly'"),
    ("check = nothere.py", "script:"),
    ("evry = 1h", "did you mean \"every\"?"),
    ("[process:Web]", "beginning with a letter"),
    ("[process:web]", "web is the app itself"),
    ("[process:]", "after the colon stands a name"),
    ("[process:one]", "a process runs a command"),
    ("count = 1000", "from 0 to 100"),
    ("memory = 1", "write 256M or 1G"),
    ("stop_timeout = 0s", "from 1s to 1h"),
    ("comand = x", "did you mean \"command\"?"),
    ("[process:two]", ""),
    ("command = bin/nothere", "there is no file \"bin/nothere\""),
    ("[process:three]", ""),
    ("command = ./app.py", "chmod +x it"),
    ("[process:four]", ""),
    ("command = a", "a command is one line"),
    ("~b", ""),
    ("[process:five]", ""),
    ("command = 'a", "is not closed"),
    ("[process:five]", "the section is in line 86 already"),
    ("command = b", "the key is in line 87 already"),
    ("[process:a-name-that-is-much-too-long]", "up to 20"),
    ("[process:six]", ""),
    ("command = a", ""),
    ("count = -1", "from 0 to 100"),
    ("directory = x", "there are command, count, memory, stop_timeout"),
    ("[cron:one]", "one of every, at, schedule says when it runs"),
    ("run = ''", "the command is missing"),
    ("[cron:two]", "one of run, fetch says what it does"),
    ("every = 7m", "does not go into an hour or a day"),
    ("[cron:three]", ""),
    ("at = 3:15", "is not a time of the day like 03:15"),
    ("fetch = sync", "starts with one '/'"),
    ("concurrency = maybe", "forbid, allow or replace"),
    ("timezone = berlin", "Europe/Berlin or UTC"),
    ("evry = 1h", "did you mean \"every\"?"),
    ("[cron:four]", ""),
    ("schedule = 1 2 3", "that has five fields"),
    ("run = true", ""),
    ("[cron:five]", ""),
    ("schedule = 61 * * * *", "minute"),
    ("fetch = /", ""),
    ("run = true", "fetch in line 110 says what it does already"),
    ("[cron:eight]", ""),
    ("every = 1h", ""),
    ("at = 01:00", "every in line 113 says when it runs already"),
    ("run = true", ""),
    ("[cron:Six]", "beginning with a letter"),
    ("[enf]", "did you mean \"env\"?"),
    ("[general]", "there are [production], [env], [backup], [process:NAME] and [cron:NAME]"),
    ("[product", "is not a section: write [NAME]"),
    ("[cron:seven] every = 1h", "is not a section: write [NAME]"),
    ("[env]", "the section is in line 56 already"),
    ("PYTHONPATH = lib", "this variable is set by the node"),
    ("[production]", "the section is in line 2 already"),
    ("processes = 2", "the key is in line 23 already"),
    ("thread = 8", "did you mean \"threads\"?"),
];

#[test]
fn a_hundred_mistakes_get_a_hundred_messages() {
    let (mut text, mut expected) = (String::new(), Vec::new());
    for (index, (line, words)) in TOP.iter().enumerate() {
        let line = line.strip_prefix('~').map_or_else(|| (*line).to_owned(), |more| format!("    {more}"));
        writeln!(text, "{line}").unwrap();
        if !words.is_empty() {
            expected.push((index + 1, *words));
        }
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("site")).unwrap();
    std::fs::write(dir.path().join("app.py"), "").unwrap();
    let services = ["couchdb", "files", "postgis", "postgresql"];
    let Err(Error::Problems(problems)) = parse(Path::new("app.ini"), dir.path(), &text, &services) else {
        panic!("it is read");
    };
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let mut left = told.clone();
    for (line, words) in &expected {
        let about = |told: &String| told.starts_with(&format!("app.ini:{line}: ")) && told.contains(words);
        match left.iter().position(about) {
            Some(at) => drop(left.remove(at)),
            None => panic!("line {line}: {words:?} is not among\n{}", told.join("\n")),
        }
    }
    assert_eq!(left, [""; 0], "messages about nothing");
    assert_eq!(expected.len(), 100, "{}", told.join("\n"));
    // The user sees all of them.
    assert_eq!(Error::Problems(problems).to_string().lines().count(), 100);
}
