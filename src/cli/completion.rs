use clap::{Args, ValueEnum};

use super::context::Context;
use crate::error::Failure;

/// Print what makes bash, fish or zsh complete commands and names
///
/// For bash put `source <(cloudtool completion bash)` into ~/.bashrc, for zsh `source <(cloudtool completion zsh)` into ~/.zshrc (after
/// compinit), for fish `cloudtool completion fish | source` into ~/.config/fish/config.fish. Names come from what this machine knows,
/// without a connection; images, sizes and places of nodes from the cloud.
#[derive(Debug, Args)]
pub(super) struct Completion {
    /// The shell
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Fish,
    Zsh,
}

pub(super) fn run(context: &Context, args: Completion) -> Result<(), Failure> {
    let script = match args.shell {
        Shell::Bash => include_str!("completion/cloudtool.bash"),
        Shell::Fish => include_str!("completion/cloudtool.fish"),
        Shell::Zsh => include_str!("completion/cloudtool.zsh"),
    };
    context.ui.line(script.trim_end());
    Ok(())
}
