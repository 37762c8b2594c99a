//! Orders: a machine exactly once, although an answer can get lost; a state without an error when it is reached already.

use std::time::Duration;

use super::Provider;
use super::error::{Error, Result};
use super::http::Reason;
use super::node::NodeState;

/// The mark of one order, a UUID: it goes along as a tag (or as the API's idempotency token), and the machine is found by it.
pub fn new_mark() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Pauses before each look for a machine whose order was not answered. An API may take a moment to list what it has just made.
const LOOKS: [Duration; 4] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(6)];

/// Sends an `order` once. When it fails in a way that leaves open whether it was carried out, `look`s for what it may have made, by
/// its mark, and gives that.
///
/// Errors: of the order, when it was refused, or when nothing is found.
pub fn once<T>(order: impl FnOnce() -> Result<T>, look: impl Fn() -> Result<Option<T>>) -> Result<T> {
    let error = match order() {
        // An answer that cannot be understood is an answer to an order that was carried out, as likely as not.
        Err(error) if error.leaves_doubt() || matches!(error, Error::Api { .. }) => error,
        answered => return answered,
    };
    tracing::debug!("{error}; looking whether the order was carried out");
    for pause in LOOKS {
        std::thread::sleep(pause);
        // An API in trouble may not answer this either; then the order's own error says more.
        if let Ok(Some(made)) = look() {
            return Ok(made);
        }
    }
    Err(error)
}

/// Sends an `order` that brings the node `id` to the state `wanted`. That it is refused is no error when the node is there already.
///
/// Errors: of the order.
pub fn towards(provider: &dyn Provider, id: &str, wanted: NodeState, order: impl FnOnce() -> Result<()>) -> Result<()> {
    let error = match order() {
        Err(error) => error,
        accepted => return accepted,
    };
    let is_refusal = |error: &Error| matches!(error, Error::Refused(refusal) if matches!(refusal.reason, Reason::Conflict | Reason::Invalid));
    if is_refusal(&error) && provider.get(id).is_ok_and(|node| node.state == wanted) { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn doubt() -> Error {
        Error::NoAnswer {
            provider: "c".into(),
            origin: "o".into(),
            request: "POST /x".into(),
            message: "m".into(),
            in_doubt: true,
        }
    }

    #[test]
    fn what_was_made_without_an_answer_is_found() {
        assert_eq!(once(|| Err(doubt()), || Ok(Some(7))).unwrap(), 7);
        let looks = Cell::new(0);
        let late = once(
            || Err(doubt()),
            || {
                looks.set(looks.get() + 1);
                if looks.get() < 2 { Err(doubt()) } else { Ok(Some(7)) }
            },
        );
        assert_eq!((late.unwrap(), looks.get()), (7, 2));
    }

    #[test]
    fn what_was_made_with_an_answer_of_nonsense_is_found() {
        let nonsense = || Err(Error::Api { provider: "c".into(), message: "that is not JSON".into() });
        assert_eq!(once(nonsense, || Ok(Some(7))).unwrap(), 7);
    }

    #[test]
    fn a_refused_order_is_not_looked_for() {
        let refused = || Err(Error::NameTaken { provider: "c".into(), name: "n".into() });
        assert!(matches!(once::<u8>(refused, || unreachable!()), Err(Error::NameTaken { .. })));
    }
}
