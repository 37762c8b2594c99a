//! Nodes that were ordered in this run and are not finished: they may cost money, so neither a failure nor Ctrl-C forgets them.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::create_node::Told;
use crate::error::{Failure, Kind};
use crate::inventory::{Inventory, KnownHosts};
use crate::providers::{Node, Price, Provider, an_hour};
use crate::ui::Ui;

/// A node that was made in this run.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) cloud: Arc<dyn Provider>,
    pub(super) node: Node,
    pub(super) price: Option<Price>,
}

impl Made {
    /// `0.0089 USD an hour`, where the price is known.
    fn costs(&self) -> Option<String> {
        let price = self.price.as_ref()?;
        Some(format!("{:.4} {} an hour", an_hour(price)?, price.currency))
    }

    /// `web1 (id 42 at my-cloud) is there and costs 0.0089 USD an hour`.
    fn sentence(&self) -> String {
        let costs = self.costs().map(|costs| format!(" and costs {costs}")).unwrap_or_default();
        format!("{} (id {} at {}) is there{costs}", self.node.name, self.node.id, self.cloud.name())
    }

    /// `id 42, 0.0089 USD an hour`, for the inventory's events.
    pub(super) fn detail(&self) -> String {
        let costs = self.costs().map(|costs| format!(", {costs}")).unwrap_or_default();
        format!("id {}{costs}", self.node.id)
    }

    /// Destroys it if that was asked for beforehand, or if a person says so now. What became of it, as a sentence.
    fn settle(&self, ui: &Ui, destroy_on_failure: bool, may_ask: bool) -> String {
        let name = &self.node.name;
        let stays = || {
            format!(
                "{}. Go on with `cloudtool setup-node {name}`, or take it away with `cloudtool destroy-node {name}`",
                self.sentence()
            )
        };
        // --yes is no answer: a node that failed may be what its owner wants to look at.
        let asked = || {
            may_ask
                && ui.is_interactive()
                && ui.confirm_strictly(&format!("{}. Destroy it?", self.sentence())).unwrap_or(false)
        };
        if !destroy_on_failure && !asked() {
            return stays();
        }
        match self.cloud.destroy(&self.node.id, &Told(ui)) {
            Ok(()) => {
                match Inventory::open().map_err(Failure::from).and_then(|(mut known, _)| forget(&mut known, &self.node))
                {
                    Ok(()) => format!("{name} (id {}) was destroyed again", self.node.id),
                    Err(failure) => {
                        format!("{name} (id {}) was destroyed again, but is still known here: {failure}", self.node.id)
                    }
                }
            }
            Err(error) => format!("{name} could not be destroyed: {error}. {}", stays()),
        }
    }

    /// Why it failed, with what became of the node.
    pub(super) fn failure(&self, ui: &Ui, failure: Failure, destroy_on_failure: bool) -> Failure {
        let name = &self.node.name;
        if destroy_on_failure || ui.is_interactive() {
            ui.say(format!("{name}: {}", failure.message));
        }
        let settled = self.settle(ui, destroy_on_failure, true);
        let message = if failure.message.contains(name.as_str()) {
            failure.message
        } else {
            format!("{name}: {}", failure.message)
        };
        let mut details = failure.details;
        details.extend(failure.hint);
        Failure { kind: failure.kind, message, hint: Some(settled), details }
    }
}

/// Forgets a node that is gone, and its host keys.
pub(super) fn forget(inventory: &mut Inventory, node: &Node) -> Result<(), Failure> {
    if let Some(address) = &node.access.address {
        KnownHosts::open()?.forget(address, node.access.port)?;
    }
    inventory.remove_node(&node.provider, &node.id)?;
    Ok(())
}

#[derive(Default)]
struct State {
    /// Orders that are not answered yet, by name.
    ordered: Vec<String>,
    made: Vec<Made>,
    destroy_on_failure: bool,
    /// Somebody is being asked about failed nodes already.
    asking: bool,
    /// The run is being ended: whoever comes by stops there.
    ending: bool,
}

/// All of a run, shared with what handles signals.
#[derive(Clone, Default)]
pub(super) struct Unfinished(Arc<(Mutex<State>, Condvar)>);

impl Unfinished {
    /// What `--destroy-on-failure` says.
    pub(super) fn destroy_on_failure(&self, yes: bool) {
        self.state().destroy_on_failure = yes;
    }

    /// Failed nodes are being asked about from now on: whoever interrupts that is not asked again.
    pub(super) fn asking(&self) {
        self.state().asking = true;
    }

    /// An order is about to be sent.
    pub(super) fn ordering(&self, name: &str) {
        self.change(|state| state.ordered.push(name.to_owned()));
    }

    /// An order was answered with a node.
    pub(super) fn made(&self, made: Made) {
        self.change(|state| {
            state.ordered.retain(|name| *name != made.node.name);
            state.made.push(made);
        });
    }

    /// There is nothing to be seen to any more: it is finished, or failed and is dealt with, or was never made.
    pub(super) fn over(&self, name: &str) {
        self.change(|state| {
            state.ordered.retain(|ordered| ordered != name);
            state.made.retain(|made| made.node.name != name);
        });
    }

    /// Goes no further when the run is being ended.
    pub(super) fn checkpoint(&self) {
        self.change(|_| {});
    }

    /// Whether the run can end at once.
    pub(super) fn is_nothing(&self) -> bool {
        let state = self.state();
        state.ending || (state.ordered.is_empty() && state.made.is_empty())
    }

    /// Stops the run where it is, waits for orders on their way, and deals with what was made. The failure to end with.
    pub(super) fn end(&self, ui: &Ui, cancelled: Failure) -> Failure {
        let changed = &self.0.1;
        let mut state = self.state();
        state.ending = true;
        if !state.ordered.is_empty() {
            ui.say(format!(
                "waiting for the answer to the order of {} (once more ends at once)",
                state.ordered.join(", ")
            ));
        }
        while !state.ordered.is_empty() {
            state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let (made, destroy, may_ask) = (std::mem::take(&mut state.made), state.destroy_on_failure, !state.asking);
        drop(state);
        if made.is_empty() {
            return cancelled;
        }
        let details = made.iter().map(|made| made.settle(ui, destroy, may_ask)).collect();
        Failure::new(Kind::Cancelled, "cancelled").details(details)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        self.0.1.notify_all();
        if state.ending {
            drop(state);
            loop {
                // The thread that ends the run ends the process.
                thread::park();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can fail half-way.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::{Access, NodeState, hosts::Hosts};

    #[test]
    fn the_price_is_named() {
        let node = Node {
            name: "web1".into(),
            provider: "ssh".into(),
            id: "42".into(),
            state: NodeState::Error,
            public_ips: vec![],
            private_ips: vec![],
            image: None,
            size: None,
            location: None,
            access: Access::default(),
            reason: None,
            answer: serde_json::Value::Null,
        };
        let price = Price { monthly: Some(7.3), hourly: None, currency: "EUR".into() };
        let made = |price| Made { cloud: Arc::new(Hosts::new(vec![])), node: node.clone(), price };
        let paid = made(Some(price));
        assert_eq!(paid.sentence(), "web1 (id 42 at ssh) is there and costs 0.0100 EUR an hour");
        assert_eq!(paid.detail(), "id 42, 0.0100 EUR an hour");
        assert_eq!(made(None).sentence(), "web1 (id 42 at ssh) is there");
        // Nobody is asked, nothing is destroyed: the way on is said.
        let ui = Ui::new(false, -1, crate::ui::Colour::Never, true);
        let failure = made(None).failure(&ui, Failure::new(Kind::Unreachable, "no answer").hint("look"), false);
        assert_eq!((failure.kind, failure.message.as_str()), (Kind::Unreachable, "web1: no answer"));
        assert_eq!(failure.details, ["look"]);
        assert!(failure.hint.unwrap().contains("cloudtool destroy-node web1"));
    }

    #[test]
    fn an_order_on_its_way_is_waited_for() {
        let unfinished = Unfinished::default();
        unfinished.ordering("web1");
        assert!(!unfinished.is_nothing());
        let ui = Ui::new(false, -1, crate::ui::Colour::Never, false);
        let ended = thread::scope(|scope| {
            let ending = scope.spawn(|| unfinished.end(&ui, Failure::new(Kind::Cancelled, "cancelled")));
            let working = unfinished.clone();
            // This one goes no further: it is left behind, as the end of the process would.
            thread::spawn(move || working.over("web1"));
            ending.join().unwrap()
        });
        assert_eq!((ended.kind, ended.details.len()), (Kind::Cancelled, 0));
    }
}
