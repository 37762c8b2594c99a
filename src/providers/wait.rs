//! Waiting until an ordered node can be used.

use std::time::{Duration, Instant};

use super::error::{Error, Result};
use super::node::{Node, NodeState};
use super::{Progress, Provider};

/// How patiently to wait.
#[derive(Debug, Clone, Copy)]
pub struct Wait {
    /// Before the first look, and the step the pauses grow from (by a half each time).
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// When to give up.
    pub timeout: Duration,
}

impl Wait {
    /// The pauses that suit a provider.
    pub fn on(provider: &dyn Provider, timeout: Duration) -> Self {
        let first = provider.capabilities().first_poll;
        Wait { first, longest: (first * 10).min(Duration::from_secs(10)), timeout }
    }
}

/// Polls one node until it runs and has an address.
///
/// Fails at once with [`Error::NodeFailed`] when it goes to `error` or `terminated`, with [`Error::Timeout`] when it takes
/// longer than `wait.timeout`, and with whatever [`Provider::get`] fails with. The node is left as it is: to destroy it is
/// the caller's decision.
pub fn wait_until_running(provider: &dyn Provider, id: &str, wait: Wait, progress: &dyn Progress) -> Result<Node> {
    let start = Instant::now();
    let mut pause = wait.first;
    let mut told = None;
    loop {
        let node = provider.get(id)?;
        match node.state {
            NodeState::Running if node.access.address.is_some() => return Ok(node),
            NodeState::Error | NodeState::Terminated => {
                return Err(Error::NodeFailed { name: node.name, id: node.id, state: node.state, reason: node.reason });
            }
            state => {
                if told != Some(state) {
                    let waiting_for = if state == NodeState::Running { "its address" } else { state.name() };
                    progress.step(&format!("waiting for {} ({waiting_for})", node.name));
                    told = Some(state);
                }
            }
        }
        let left = wait.timeout.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(Error::Timeout { name: node.name, id: node.id, state: node.state, after: wait.timeout });
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 3 / 2).min(wait.longest);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::{Access, Capabilities, CreateRequest, Image, Region, Silent, Size};
    use super::*;

    /// Answers `get` with one state after the other, the last for ever.
    struct Script(Mutex<Vec<(NodeState, bool)>>);

    impl Provider for Script {
        fn name(&self) -> &str {
            "script"
        }
        fn capabilities(&self) -> Capabilities {
            unreachable!("not asked")
        }
        fn images(&self) -> Result<Vec<Image>> {
            unreachable!("not asked")
        }
        fn sizes(&self) -> Result<Vec<Size>> {
            unreachable!("not asked")
        }
        fn regions(&self) -> Result<Vec<Region>> {
            unreachable!("not asked")
        }
        fn nodes(&self) -> Result<Vec<Node>> {
            unreachable!("not asked")
        }
        fn get(&self, id: &str) -> Result<Node> {
            let mut states = self.0.lock().unwrap();
            let (state, address) = if states.len() > 1 { states.remove(0) } else { states[0] };
            Ok(Node {
                name: "n".into(),
                provider: "script".into(),
                id: id.into(),
                state,
                public_ips: vec![],
                private_ips: vec![],
                image: None,
                size: None,
                location: None,
                access: Access { address: address.then(|| "192.0.2.1".into()), ..Access::default() },
                reason: Some("no capacity".into()),
                answer: serde_json::Value::Null,
            })
        }
        fn create(&self, _: &CreateRequest, _: &dyn Progress) -> Result<Node> {
            unreachable!("not asked")
        }
        fn destroy(&self, _: &str, _: &dyn Progress) -> Result<()> {
            unreachable!("not asked")
        }
    }

    fn wait(states: &[(NodeState, bool)]) -> Result<Node> {
        let wait = Wait {
            first: Duration::from_millis(1),
            longest: Duration::from_millis(2),
            timeout: Duration::from_millis(30),
        };
        wait_until_running(&Script(Mutex::new(states.to_vec())), "1", wait, &Silent)
    }

    #[test]
    fn waits_for_the_state_and_for_the_address() {
        let node =
            wait(&[(NodeState::Pending, false), (NodeState::Running, false), (NodeState::Running, true)]).unwrap();
        assert_eq!(node.access.address.as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn stops_at_once_on_error_with_the_reason() {
        let error = wait(&[(NodeState::Pending, false), (NodeState::Error, false)]).unwrap_err();
        assert_eq!(error.to_string(), "the node n (id 1) is in state error: no capacity");
        assert!(wait(&[(NodeState::Terminated, true)]).is_err());
    }

    #[test]
    fn gives_up_after_the_timeout() {
        assert!(matches!(wait(&[(NodeState::Pending, true)]), Err(Error::Timeout { .. })));
        assert!(matches!(wait(&[(NodeState::Running, false)]), Err(Error::Timeout { .. })));
    }
}
