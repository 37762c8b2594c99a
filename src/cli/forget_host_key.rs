use clap::Args;

use super::context::Context;
use crate::error::Failure;
use crate::inventory::KnownHosts;

/// Forget the host key of a server that was reinstalled
///
/// The next connection asks about the new key. Keys in ~/.ssh/known_hosts are forgotten with `ssh-keygen -R HOST`.
#[derive(Debug, Args)]
pub(super) struct ForgetHostKey {
    /// The node's name or its address
    host: String,
}

pub(super) fn run(context: &Context, args: ForgetHostKey) -> Result<(), Failure> {
    let destination = context.destination(&context.named(&args.host)?);
    KnownHosts::open()?.forget(&destination.host, destination.port)?;
    context.ui.say(format!("The host key of {} ({}) is forgotten", args.host, destination.host));
    Ok(())
}
