//! What could follow in a command line. Pure: its definition says what an argument is, [`Known`] what there is.

use clap::{Arg, Command};

/// What there is to name.
pub trait Known {
    fn clouds(&self) -> Vec<String>;
    fn nodes(&self) -> Vec<String>;
    /// Those that nodes have.
    fn labels(&self) -> Vec<String>;
    fn apps(&self) -> Vec<String>;
    fn locations(&self) -> Vec<String>;
    /// These ask the cloud.
    fn images(&self) -> Vec<String>;
    fn sizes(&self) -> Vec<String>;
    fn regions(&self) -> Vec<String>;
}

/// What may stand at the cursor.
#[derive(Debug, PartialEq, Eq)]
pub enum Candidates {
    /// One of these words.
    Words(Vec<String>),
    /// A file or a directory.
    Files,
}

/// The words that begin with `current` and may follow `before` (the words of the line so far).
pub fn candidates(definition: &Command, before: &[String], current: &str, known: &dyn Known) -> Candidates {
    let all = match before {
        [] => {
            let commands = definition.get_subcommands().filter(|command| !command.is_hide_set());
            commands.map(|command| command.get_name().to_owned()).collect()
        }
        [name, arguments @ ..] => match definition.find_subcommand(name) {
            Some(command) if current.starts_with('-') => options(definition, command, arguments),
            Some(command) => match argument(definition, command, arguments) {
                Some(argument) => match values(command, argument, known) {
                    Candidates::Words(words) => words,
                    Candidates::Files => return Candidates::Files,
                },
                None => Vec::new(),
            },
            None => Vec::new(),
        },
    };
    Candidates::Words(beginning_with(current, all))
}

/// In order, each once.
pub fn beginning_with(current: &str, words: Vec<String>) -> Vec<String> {
    let mut words: Vec<String> = words.into_iter().filter(|word| word.starts_with(current)).collect();
    words.sort();
    words.dedup();
    words
}

/// The long options of a command and of all commands that are not there yet.
fn options(definition: &Command, command: &Command, arguments: &[String]) -> Vec<String> {
    let all = command.get_arguments().chain(definition.get_arguments());
    let names =
        all.filter(|argument| !argument.is_hide_set()).filter_map(Arg::get_long).map(|long| format!("--{long}"));
    names.filter(|name| !arguments.contains(name)).collect()
}

/// Which argument stands after these: the value of an option, or the next positional one.
fn argument<'a>(definition: &'a Command, command: &'a Command, arguments: &[String]) -> Option<&'a Arg> {
    let option = |word: &String| {
        let long = word.strip_prefix("--")?;
        let mut all = command.get_arguments().chain(definition.get_arguments());
        all.find(|argument| argument.get_long() == Some(long) && argument.get_action().takes_values())
    };
    if let Some(option) = arguments.last().and_then(option) {
        return Some(option);
    }
    let mut words = arguments.iter();
    let mut place = 0;
    while let Some(word) = words.next() {
        if option(word).is_some() {
            words.next();
        } else if !word.starts_with('-') {
            place += 1;
        }
    }
    let positionals: Vec<&Arg> = command.get_positionals().collect();
    // The last one may take several.
    let last = positionals.last().filter(|last| matches!(last.get_action(), clap::ArgAction::Append));
    positionals.get(place).or(last).copied()
}

fn values(command: &Command, argument: &Arg, known: &dyn Known) -> Candidates {
    let possible: Vec<String> =
        argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if !possible.is_empty() {
        return Candidates::Words(possible);
    }
    let id = argument.get_id().as_str();
    let name = argument
        .get_value_names()
        .and_then(|names| names.first())
        .map_or_else(|| id.to_uppercase(), ToString::to_string);
    let makes_nodes = command.get_name() == "create-node";
    let words = match (id, name.as_str()) {
        ("provider", _) => known.clouds(),
        ("image", _) => known.images(),
        ("size", _) => known.sizes(),
        ("location", "GLOB") => known.regions(),
        (_, "GLOB|@LABEL") => {
            known.nodes().into_iter().chain(known.labels().iter().map(|label| format!("@{label}"))).collect()
        }
        (_, "LABEL") => known.labels(),
        (_, "DIR" | "FILE") => return Candidates::Files,
        (_, "NAME" | "NAME|HOST") if !makes_nodes => known.nodes(),
        (_, "APP[@vN]|prev") => [known.apps(), vec!["prev".to_owned()]].concat(),
        (_, names) => names.split('|').flat_map(|name| named(name, known)).collect(),
    };
    Candidates::Words(words)
}

/// What there is of a kind.
fn named(kind: &str, known: &dyn Known) -> Vec<String> {
    match kind {
        "NODE" => known.nodes(),
        "APP" => known.apps(),
        "LOCATION" | "HOST" => known.locations(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World;

    impl Known for World {
        fn clouds(&self) -> Vec<String> {
            vec!["hetzner".into(), "local".into()]
        }
        fn nodes(&self) -> Vec<String> {
            vec!["web1".into(), "web2".into(), "db".into()]
        }
        fn labels(&self) -> Vec<String> {
            vec!["web".into(), "prod".into()]
        }
        fn apps(&self) -> Vec<String> {
            vec!["shop".into()]
        }
        fn locations(&self) -> Vec<String> {
            vec!["shop.example.com".into()]
        }
        fn images(&self) -> Vec<String> {
            vec!["debian-12".into()]
        }
        fn sizes(&self) -> Vec<String> {
            vec!["small".into()]
        }
        fn regions(&self) -> Vec<String> {
            vec!["fsn1".into()]
        }
    }

    /// The candidates at the end of a line, space separated.
    fn at_end(line: &str) -> String {
        let (before, current) = line.rsplit_once(' ').unwrap_or(("", line));
        let before: Vec<String> = before.split_ascii_whitespace().map(str::to_owned).collect();
        let mut definition = crate::cli::definition();
        definition.build();
        match candidates(&definition, &before, current, &World) {
            Candidates::Words(words) => words.join(" "),
            Candidates::Files => "FILES".into(),
        }
    }

    #[test]
    fn what_may_follow() {
        for (line, expected) in [
            ("de", "deactivate default-node destroy-node"),
            ("complet", "completion"),
            ("run s", "shop shop.example.com"),
            ("doctor ", "db shop shop.example.com web1 web2"),
            ("report s", "shop shop.example.com"),
            ("ssh ", "db shop shop.example.com web1 web2"),
            ("disable ", "shop shop.example.com"),
            ("update ", "FILES"),
            ("update x --node w", "web1 web2"),
            ("update --node web1 ", "FILES"),
            ("destroy-node web1 w", "web1 web2"),
            ("setup-node d", "db"),
            ("exec --on w", "web1 web2"),
            ("exec --on @", "@prod @web"),
            ("exec --on web1 --on @w", "@web"),
            ("label-node web1 p", "prod"),
            ("create-node w", ""),
            ("create-node x --image ", "debian-12"),
            ("create-node x --size ", "small"),
            ("create-node x --location ", "fsn1"),
            ("list-nodes --provider h", "hetzner"),
            ("list-nodes --color ", "always auto never"),
            ("rollback ", "shop"),
            ("rollback shop --t", "--to --trace-http"),
            ("activate ", "shop.example.com"),
            ("activate x ", "prev shop"),
            ("query s", "shop shop.example.com"),
            ("nonsense ", ""),
        ] {
            assert_eq!(at_end(line), expected, "{line:?}");
        }
    }
}
