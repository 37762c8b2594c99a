//! The same work on several nodes at the same time, a line each as they end.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use super::clouds::common_kind;
use crate::error::{Failure, Kind};
use crate::ui::Ui;

/// How many at a time, where nothing else is said.
// It is not zero, as the compiler sees.
pub(super) const LIMIT: NonZeroUsize = NonZeroUsize::new(16).unwrap();

/// Does `work` on all items, at most `limit` at a time, and hands each result to `ended` on this thread as soon as it is there.
pub(super) fn each<'t, T: Sync, R: Send>(
    items: &'t [T],
    limit: NonZeroUsize,
    work: impl Fn(&T) -> R + Sync,
    mut ended: impl FnMut(&'t T, R),
) {
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..limit.get().min(items.len()) {
            let (send, next, work) = (send.clone(), &next, &work);
            scope.spawn(move || {
                while let Some((index, item)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    items.get(index).map(|item| (index, item))
                } {
                    // Nobody listens any more only when `ended` panicked.
                    let _ = send.send((index, work(item)));
                }
            });
        }
        drop(send);
        for (index, result) in receive {
            ended(&items[index], result);
        }
    });
}

/// Collects the failures of several nodes, telling each as it comes.
#[derive(Default)]
pub(super) struct Failures(Vec<Failure>);

impl Failures {
    /// Of `all` that many; a single one is not told here, it is the run's own.
    pub(super) fn add(&mut self, ui: &Ui, all: usize, failure: Failure) {
        if all > 1 {
            ui.tell(&failure);
        }
        self.0.push(failure);
    }

    /// The run's outcome.
    pub(super) fn outcome(mut self, all: usize) -> Result<(), Failure> {
        match common_kind(self.0.iter().map(|failure| failure.kind), Kind::Failed) {
            None => Ok(()),
            Some(_) if all == 1 => Err(self.0.remove(0)),
            Some(kind) => Err(Failure::new(kind, format!("{} of {all} nodes failed", self.0.len()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_done_once_and_never_more_than_the_limit_at_a_time() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let items: Vec<usize> = (0..50).collect();
        let mut seen = Vec::new();
        let limit = NonZeroUsize::new(3).unwrap();
        let work = |item: &usize| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
            item * 2
        };
        each(&items, limit, work, |item, result| seen.push((*item, result)));
        seen.sort_unstable();
        assert_eq!(seen, items.iter().map(|item| (*item, item * 2)).collect::<Vec<_>>());
        assert!((1..=3).contains(&most.into_inner()));
        each(&[] as &[u8], limit, |_| unreachable!(), |_, (): ()| unreachable!());
    }

    #[test]
    fn a_single_failure_is_the_runs_own() {
        let ui = Ui::new(false, -1, crate::ui::Colour::Never, false);
        let failed = |all: usize, kinds: &[Kind]| {
            let mut failures = Failures::default();
            kinds.iter().for_each(|kind| failures.add(&ui, all, Failure::new(*kind, "why")));
            failures.outcome(all).map_err(|failure| (failure.kind, failure.message))
        };
        assert_eq!(failed(3, &[]), Ok(()));
        assert_eq!(failed(1, &[Kind::Usage]), Err((Kind::Usage, "why".into())));
        assert_eq!(failed(3, &[Kind::Usage, Kind::Usage]), Err((Kind::Usage, "2 of 3 nodes failed".into())));
        assert_eq!(failed(3, &[Kind::Usage, Kind::Provider]).unwrap_err().0, Kind::Failed);
    }
}
