//! `[process:NAME]` on a developer's machine: beside the app, with its variables, and started again when one ends.

use std::time::{Duration, Instant};

use super::child::{Child, describe};
use super::{Ready, Workshop};
use crate::error::{Failure, Kind};

/// The first wait before one that has ended is started again; each is twice as long, as on a node.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const MOST_WAIT: Duration = Duration::from_secs(30);

/// All processes of an app. Dropping them ends them.
#[derive(Default)]
pub struct Workers(Vec<Worker>);

struct Worker {
    /// `worker.1`
    name: String,
    words: Vec<String>,
    state: State,
    wait: Duration,
}

enum State {
    Runs(Child),
    Waits(Instant),
}

impl Workers {
    /// As many of each as app.ini says.
    pub fn of(ready: &Ready) -> Self {
        let wanted = ready.config.settings.workers.iter();
        let numbered =
            wanted.flat_map(|(name, process)| (1..=process.count).map(move |number| (name, number, process)));
        Workers(
            numbered
                .map(|(name, number, process)| Worker {
                    name: format!("{name}.{number}"),
                    words: process.words.clone(),
                    state: State::Waits(Instant::now()),
                    wait: FIRST_WAIT,
                })
                .collect(),
        )
    }

    /// Starts those whose time has come, and tells of those that have ended.
    pub fn look(&mut self, workshop: &Workshop, ready: &Ready) {
        for worker in &mut self.0 {
            let failure = match &mut worker.state {
                State::Runs(child) => child.ended().map(|status| {
                    let message = format!("{} has ended with {}", worker.name, describe(status));
                    Failure::new(Kind::Failed, message).details(child.last_words())
                }),
                State::Waits(until) if *until > Instant::now() => None,
                State::Waits(_) => worker.start(workshop, ready).err(),
            };
            if let Some(failure) = failure {
                let hint = format!("it is started again in {} s", worker.wait.as_secs());
                workshop.told.failed(&failure.hint(hint));
                worker.state = State::Waits(Instant::now() + worker.wait);
                worker.wait = (worker.wait * 2).min(MOST_WAIT);
            }
        }
    }
}

impl Worker {
    fn start(&mut self, workshop: &Workshop, ready: &Ready) -> Result<(), Failure> {
        let mut variables = ready.variables.clone();
        variables.insert("CLOUDTOOL_PROCESS".to_owned(), self.name.clone());
        variables.insert("PYTHONUNBUFFERED".to_owned(), "1".to_owned());
        let child = Child::start(&workshop.toolbox, &self.words, workshop.dir(), &variables, None, &workshop.told)?;
        self.state = State::Runs(child);
        Ok(())
    }
}
