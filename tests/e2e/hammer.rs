//! Load that counts: keep-alive connections that never retry; whatever is not a 200 is a failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::http::Connection;

/// A running load.
pub struct Hammer {
    stop: Arc<AtomicBool>,
    tally: Arc<Tally>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Tally {
    requests: AtomicU64,
    failures: Mutex<Vec<String>>,
}

/// What came of it.
pub struct Outcome {
    pub requests: u64,
    /// What each failed request got instead of a 200.
    pub failures: Vec<String>,
}

impl Hammer {
    /// `connections` connections that ask for `path` of `host` as fast as they can. `accept` judges a body; none: any will do.
    pub fn start(address: &str, host: &str, path: &str, connections: usize, accept: Option<fn(&str) -> bool>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tally = Arc::new(Tally::default());
        let threads = (0..connections).map(|_| {
            let (stop, tally) = (Arc::clone(&stop), Arc::clone(&tally));
            let (address, host, path) = (address.to_owned(), host.to_owned(), path.to_owned());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Err(failure) = one_connection(&address, &host, &path, accept, &stop, &tally) {
                        tally.failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
                    }
                }
            })
        });
        let threads = threads.collect();
        Hammer { stop, tally, threads }
    }

    /// How many requests were answered so far.
    pub fn requests(&self) -> u64 {
        self.tally.requests.load(Ordering::Relaxed)
    }

    /// Ends the load and tells what came of it.
    pub fn stop(mut self) -> Outcome {
        self.end();
        let failures = std::mem::take(&mut *self.tally.failures.lock().unwrap_or_else(PoisonError::into_inner));
        Outcome { requests: self.tally.requests.load(Ordering::Relaxed), failures }
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("the load does not panic");
        }
    }
}

impl Drop for Hammer {
    /// A test that fails leaves no load to those after it.
    fn drop(&mut self) {
        self.end();
    }
}

/// Requests on one connection until the load ends or one of them fails.
fn one_connection(
    address: &str,
    host: &str,
    path: &str,
    accept: Option<fn(&str) -> bool>,
    stop: &AtomicBool,
    tally: &Tally,
) -> Result<(), String> {
    let mut connection = Connection::open(address, 80).map_err(|error| format!("connect: {error}"))?;
    while !stop.load(Ordering::Relaxed) {
        let answer = connection.request("GET", host, path, "", b"").map_err(|error| error.to_string())?;
        tally.requests.fetch_add(1, Ordering::Relaxed);
        if answer.status != 200 || accept.is_some_and(|accept| !accept(&answer.body)) {
            return Err(format!("{} {:?}", answer.status, answer.body.chars().take(200).collect::<String>()));
        }
        if answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            return Ok(());
        }
    }
    Ok(())
}
