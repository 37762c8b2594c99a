use clap::Args;

use super::complete::{Candidates, candidates};
use super::context::Context;
use super::things::Things;
use crate::error::Failure;

/// Print what could follow in a command line: what `completion` makes a shell ask
#[derive(Debug, Args)]
pub(super) struct Complete {
    /// The words after the program's name, the last of which is being typed
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

pub(super) fn run(context: &Context, args: Complete) -> Result<(), Failure> {
    let mut definition = super::definition();
    definition.build();
    let (current, before) = args.words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let things = Things::new(context);
    let option = |pair: &&[String]| ["-p", "--provider"].contains(&pair[0].as_str());
    things.of(before.windows(2).rfind(option).map(|pair| pair[1].as_str()));
    // Where nothing is printed, the shell offers files.
    if let Candidates::Words(words) = candidates(&definition, before, current, &things) {
        for word in words {
            context.ui.line(word);
        }
    }
    Ok(())
}
