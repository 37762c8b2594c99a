//! `serve`: the app answers on a port, and is started anew when a file of it changes.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::backend::{self, Backend, Waited};
use super::front::{Front, Now, Serving};
use super::page::Report;
use super::watch::{Watch, forget_bytecode};
use super::workers::Workers;
use super::{Ready, Workshop, update};
use crate::config::{AppConfig, Platform, Runner, UserConfig};
use crate::error::{Failure, Kind};
use crate::node::Services;

/// Editors write several files, or one in several steps.
const QUIET: Duration = Duration::from_millis(25);
/// How long requests of the version before may still run.
const DRAIN: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);

/// What to serve, and where.
pub struct Wish {
    pub host: String,
    /// 0: any that is free.
    pub port: u16,
    /// Empty, or a path like `/blog`.
    pub mount: String,
    /// Run what `[process:NAME]` of app.ini says, too.
    pub processes: bool,
    /// Asked again when app.ini changes.
    pub said: Box<dyn Fn() -> Result<Said, Failure>>,
}

/// What app.ini and the user's configuration say.
pub struct Said {
    pub config: AppConfig,
    pub user: UserConfig,
    pub services: Services,
}

/// Serves until `stopped` says so.
///
/// Errors: only what is wrong with the command itself; what is wrong with the app is shown until it is mended.
pub fn serve(workshop: &Workshop, wish: &Wish, said: Said, stopped: &Arc<AtomicBool>) -> Result<(), Failure> {
    let listener = TcpListener::bind((wish.host.as_str(), wish.port)).map_err(|error| {
        Failure::new(Kind::Usage, format!("{}:{} cannot be listened on: {error}", wish.host, wish.port))
            .hint("choose another one with --port, or any that is free with --port 0")
    })?;
    let port = listener.local_addr().map_or(wish.port, |address| address.port());
    let (changed, changes) = channel();
    let watch = Watch::start(workshop.dir(), changed)?;
    let host = if wish.host.contains(':') { format!("[{}]", wish.host) } else { wish.host.clone() };
    let front = Arc::new(Front::new(said.config.name.to_string(), wish.mount.clone(), Arc::clone(&workshop.told)));
    front.listen(listener);
    let url = format!("http://{host}:{port}{}/", wish.mount);
    let mut stage = Stage {
        workshop,
        wish,
        front,
        url,
        watch,
        changes,
        pending: Vec::new(),
        stopped,
        ready: None,
        backend: None,
        workers: Workers::default(),
        ending: Vec::new(),
        updated: false,
        again: false,
    };
    let outcome = stage.look(said);
    stage.end();
    outcome
}

/// What is on, while it is served.
struct Stage<'a> {
    workshop: &'a Workshop,
    wish: &'a Wish,
    front: Arc<Front>,
    url: String,
    watch: Watch,
    changes: Receiver<PathBuf>,
    /// What has changed while the app was started.
    pending: Vec<PathBuf>,
    stopped: &'a Arc<AtomicBool>,
    ready: Option<Ready>,
    backend: Option<(Arc<Serving>, Option<Backend>)>,
    workers: Workers,
    /// What waits for the end of versions before.
    ending: Vec<JoinHandle<()>>,
    /// `update_fetch` has run to its end.
    updated: bool,
    again: bool,
}

impl Stage<'_> {
    fn look(&mut self, first: Said) -> Result<(), Failure> {
        let mut next = Some(Ok(first));
        loop {
            let began = Instant::now();
            self.front.set(Now::Starting);
            let (app, told) = (self.front.app.clone(), Arc::clone(&self.workshop.told));
            match self.start(next.take()) {
                Ok(Waited::Serves) => {
                    told.serves(&app, &self.url, self.again, began.elapsed().as_secs_f64());
                    self.again = true;
                }
                Ok(Waited::Complains) => told.complains(&app, &self.url),
                Ok(Waited::Interrupted) => {}
                Err(failure) => self.show(&failure),
            }
            let Some(paths) = self.next_change()? else { return Ok(()) };
            self.workshop.told.changed(&shown(&paths));
            forget_bytecode(self.workshop.dir(), &paths);
            if self.ready.is_none() || paths.iter().any(|path| is_setting(path)) {
                next = Some((self.wish.said)());
            }
        }
    }

    /// Starts a version of the app: with new settings, or with those there are.
    fn start(&mut self, said: Option<Result<Said, Failure>>) -> Result<Waited, Failure> {
        if let Some(said) = said {
            self.updated = false;
            let Said { config, user, services } = said?;
            for warning in &config.warnings {
                self.workshop.told.step(&format!("warning: {warning}"));
            }
            let running = self.ready.take().map(|ready| ready.running);
            self.ready = Some(self.workshop.prepare(config, &user, &services, running)?);
        }
        let Some(ready) = &self.ready else { return Ok(Waited::Interrupted) };
        if !self.updated {
            update::before_start(self.workshop, ready)?;
        }
        let mut backend = Backend::start(self.workshop, ready)?;
        let mut waited = Waited::Serves;
        if let Some(backend) = &mut backend {
            let interrupted = || {
                self.pending.extend(self.changes.try_iter());
                !self.watch.relevant(self.pending.clone()).is_empty() || self.stopped.load(Ordering::Relaxed)
            };
            waited = backend.wait(interrupted)?;
            if let Waited::Interrupted = waited {
                return Ok(waited);
            }
            self.pending.clear();
        }
        let port = backend.as_ref().map(|backend| backend.port);
        // An app that is not there can fetch nothing; it may come with the next change.
        if !self.updated && matches!(waited, Waited::Serves) {
            update::after_start(self.workshop, ready, port, &self.wish.mount)?;
            self.updated = true;
        }
        let serving = Arc::new(Serving {
            roots: backend::roots(self.workshop, ready),
            port,
            is_wsgi: ready.python.is_some(),
            advice: ready.advice.clone(),
        });
        let workers = if self.wish.processes { Workers::of(ready) } else { Workers::default() };
        self.end_before();
        self.backend = Some((Arc::clone(&serving), backend));
        self.front.set(Now::Serving(serving));
        // One after the other: the old ones may hold what the new ones want.
        self.workers = Workers::default();
        self.workers = workers;
        Ok(waited)
    }

    /// The app does not serve.
    fn show(&mut self, failure: &Failure) {
        self.end_before();
        // Who is told finds it so.
        self.front.set(Now::Broken(Report::from(failure)));
        self.workshop.told.failed(failure);
    }

    /// Ends the version before when its requests have ended.
    fn end_before(&mut self) {
        let Some((serving, backend)) = self.backend.take() else { return };
        let deadline = Instant::now() + DRAIN;
        let stopped = Arc::clone(self.stopped);
        self.ending.retain(|ending| !ending.is_finished());
        self.ending.push(thread::spawn(move || {
            // The front holds it, until it is told of another one.
            while Arc::strong_count(&serving) > 1 && Instant::now() < deadline && !stopped.load(Ordering::Relaxed) {
                thread::sleep(LOOK);
            }
            drop(backend);
        }));
    }

    /// Nothing is left: neither of the app, nor then of its services.
    fn end(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.workers = Workers::default();
        self.end_before();
        for ending in self.ending.drain(..) {
            let _ = ending.join();
        }
        self.ready = None;
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// The files that have changed; none when all is to end.
    fn next_change(&mut self) -> Result<Option<BTreeSet<PathBuf>>, Failure> {
        loop {
            if self.is_stopped() {
                return Ok(None);
            }
            if let Some((_, Some(backend))) = &mut self.backend
                && let Some(failure) = backend.failure()
            {
                self.show(&failure);
            }
            if let Some(ready) = &self.ready {
                self.workers.look(self.workshop, ready);
            }
            let mut paths = std::mem::take(&mut self.pending);
            match self.changes.recv_timeout(if paths.is_empty() { LOOK } else { QUIET }) {
                Ok(path) => paths.push(path),
                Err(RecvTimeoutError::Timeout) if paths.is_empty() => continue,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
            while let Ok(path) = self.changes.recv_timeout(QUIET) {
                paths.push(path);
            }
            self.watch.look()?;
            let relevant = self.watch.relevant(paths);
            if relevant.iter().any(|path| self.concerns(path)) {
                return Ok(Some(relevant));
            }
        }
    }

    /// PHP reads its files at each request, and files are files.
    fn concerns(&self, path: &Path) -> bool {
        let reads_by_itself = self.updated
            && self.ready.as_ref().is_some_and(|ready| {
                let settings = &ready.config.settings;
                let is_command = matches!(settings.runner, Some(Runner::Command { .. }));
                !is_command && matches!(settings.platform, Platform::Php | Platform::Static)
            });
        !reads_by_itself || is_setting(path) || self.backend.is_none()
    }
}

/// What app.ini says may be in files it names: requirements and the settings' defaults are text.
fn is_setting(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ["ini", "txt", "env", "conf", "cfg", ""].contains(&ending)
}

/// `app.py`, `app.py and 3 more`.
fn shown(paths: &BTreeSet<PathBuf>) -> String {
    let first = paths.first().map(|path| path.display().to_string()).unwrap_or_default();
    if paths.len() > 1 { format!("{first} and {} more", paths.len() - 1) } else { first }
}
