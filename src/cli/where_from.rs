//! Which nodes are asked, where several may be.

use clap::Args;

use super::NodeChoice;
use super::context::Context;
use super::data::Target;
use super::exec;
use crate::error::Failure;
use crate::inventory::NodeRecord;

/// The options.
#[derive(Debug, Clone, Args)]
pub(super) struct Nodes {
    /// These nodes: a glob of names, or @LABEL (see label-node); may be said again
    #[arg(long, value_name = "GLOB|@LABEL")]
    on: Vec<String>,
    #[command(flatten)]
    node: NodeChoice,
}

impl Nodes {
    /// Those that were named, else those that are known to serve what is asked for, else the default one.
    pub(super) fn serving(&self, context: &Context, target: &Target) -> Result<Vec<NodeRecord>, Failure> {
        if let Some(named) = self.named(context)? {
            return Ok(named);
        }
        let inventory = context.inventory()?;
        let known = match target {
            Target::App(app) => inventory.nodes_for_app(app)?,
            Target::Location(location) => inventory.nodes_for_location(location)?,
        };
        if known.is_empty() { Ok(vec![context.node(&self.node, None, &[])?]) } else { Ok(known) }
    }

    /// Those that were named, else all that are known, else the default one.
    pub(super) fn all(&self, context: &Context) -> Result<Vec<NodeRecord>, Failure> {
        if let Some(named) = self.named(context)? {
            return Ok(named);
        }
        let known = context.inventory()?.nodes()?;
        if known.is_empty() { Ok(vec![context.node(&self.node, None, &[])?]) } else { Ok(known) }
    }

    /// Whether some were named.
    pub(super) fn are_named(&self) -> bool {
        !self.on.is_empty() || self.node.node.is_some()
    }

    fn named(&self, context: &Context) -> Result<Option<Vec<NodeRecord>>, Failure> {
        if !self.on.is_empty() {
            return exec::choose(&context.inventory()?, &self.on).map(Some);
        }
        self.node.node.as_deref().map(|name| Ok(vec![context.named(name)?])).transpose()
    }
}
