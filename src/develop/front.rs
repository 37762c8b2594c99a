//! What a browser speaks to: answers with files as a slot's Apache does, and passes on the rest, with what the front of a node says
//! of a request. Each request that is passed on gets a connection of its own, at both ends, so that whatever follows its head
//! (a body, a WebSocket) passes as it is.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Told;
use super::files::{Answer, Roots, plain};
use super::http::{self, Answering, Headers, Request};
use super::page::Report;

/// How long a browser's connection may be idle.
const IDLE: Duration = Duration::from_secs(65);
/// Longer reports are cut.
const REPORT_MAX: u64 = 4 << 20;

/// The app as it is now.
pub enum Now {
    /// Requests wait.
    Starting,
    Serving(Arc<Serving>),
    Broken(Report),
}

/// A version of the app that answers. Who answers a request holds it.
pub struct Serving {
    pub roots: Roots,
    /// Where its process listens, if it has one.
    pub port: Option<u16>,
    /// It is told the path as a slot's mod_wsgi has it.
    pub is_wsgi: bool,
    /// Packages by which a module that is not found may come, as a sentence.
    pub advice: Option<String>,
}

/// What all connections share.
pub struct Front {
    pub app: String,
    /// The path the app is below: empty, or `/blog`.
    pub mount: String,
    told: Arc<dyn Told>,
    now: Mutex<Now>,
    changed: Condvar,
}

impl Front {
    pub fn new(app: String, mount: String, told: Arc<dyn Told>) -> Self {
        Front { app, mount, told, now: Mutex::new(Now::Starting), changed: Condvar::new() }
    }

    pub fn set(&self, now: Now) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
        self.changed.notify_all();
    }

    /// Answers whoever connects, from now on.
    pub fn listen(self: &Arc<Self>, listener: TcpListener) {
        let front = Arc::clone(self);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let front = Arc::clone(&front);
                thread::spawn(move || front.converse(stream));
            }
        });
    }

    fn converse(&self, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(IDLE)));
        let mut buffer = Vec::new();
        loop {
            let request = match http::read_request(&mut stream, &mut buffer) {
                Ok(Some(request)) => request,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    let _ =
                        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                    return;
                }
                // A browser that went away.
                Ok(None) | Err(_) => return,
            };
            let began = Instant::now();
            let answered = self.answer(&mut stream, &request, &mut buffer);
            let Ok((status, keeps)) = answered else { return };
            self.told.request(&request.method, &request.target, status, began.elapsed().as_millis());
            if !keeps {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
        }
    }

    /// The status, and whether another request may follow.
    fn answer(&self, stream: &mut TcpStream, request: &Request, rest: &mut Vec<u8>) -> io::Result<(u16, bool)> {
        let keeps = request.keeps();
        let (raw, query) = request.path();
        let mut answering = Answering { stream, request };
        let inner = match raw.strip_prefix(self.mount.as_str()) {
            Some("") if !self.mount.is_empty() => "/",
            Some(inner) if inner.starts_with('/') => inner,
            _ if raw == "/" => {
                let to = format!("{}/", self.mount);
                return Ok((answering.send(302, &[("Location", &to)], b"")?, keeps));
            }
            _ if raw.starts_with('/') => {
                let text = format!("{} is served below {}/\n", self.app, self.mount);
                return Ok((answering.text(404, &text)?, keeps));
            }
            _ => return Ok((answering.text(400, "Bad request\n")?, keeps)),
        };
        let Some(path) = plain(inner) else { return Ok((answering.text(400, "Bad request\n")?, keeps)) };
        let serving = match self.serving() {
            Ok(serving) => serving,
            Err(report) => return Ok((self.report(&mut answering, &report)?, keeps)),
        };
        let (status, keeps) = match serving.roots.answer(&path, &request.host(), request.is_reading()) {
            Answer::File(file) => (answering.file(&file)?, keeps),
            Answer::Redirect(path) => {
                let to = format!("{}{path}{query}", self.mount);
                (answering.send(301, &[("Location", &to), ("Cache-Control", "no-cache")], b"")?, keeps)
            }
            Answer::Nothing => (answering.text(404, "Not found\n")?, keeps),
            Answer::App => {
                let more: &[_] = if serving.is_wsgi { &[("X-Cloudtool-Path", path)] } else { &[] };
                (self.pass_on(stream, request, rest, &serving, &format!("{inner}{query}"), more)?, false)
            }
            Answer::Script { file, name, info } => {
                let more = [("X-Cloudtool-Script", file), ("X-Cloudtool-Name", name), ("X-Cloudtool-Path-Info", info)];
                (self.pass_on(stream, request, rest, &serving, &format!("{inner}{query}"), &more)?, false)
            }
        };
        Ok((status, keeps))
    }

    /// The version that answers now, which is waited for while it starts; or why there is none.
    fn serving(&self) -> Result<Arc<Serving>, Box<Report>> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &*now {
                Now::Serving(serving) => return Ok(Arc::clone(serving)),
                Now::Broken(report) => return Err(Box::new(report.clone())),
                Now::Starting => now = self.changed.wait(now).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn report(&self, answering: &mut Answering<'_>, report: &Report) -> io::Result<u16> {
        let for_browser = answering.request.header("accept").is_some_and(|kinds| kinds.contains("text/html"));
        let (kind, page) = report.page(&self.app, for_browser);
        answering.send(500, &[("Content-Type", kind), ("Cache-Control", "no-store")], page.as_bytes())
    }

    /// Has the app's process answer. `more` is what it is told beside the request.
    fn pass_on(
        &self,
        stream: &mut TcpStream,
        request: &Request,
        rest: &mut Vec<u8>,
        serving: &Serving,
        target: &str,
        more: &[(&str, String)],
    ) -> io::Result<u16> {
        let port = serving.port.unwrap_or_default();
        let gone = Report {
            message: format!("{} does not answer.", self.app),
            hint: Some("its output on the terminal may say why".to_owned()),
            ..Report::default()
        };
        let Ok(mut app) = TcpStream::connect(("127.0.0.1", port)) else {
            return self.report(&mut Answering { stream, request }, &gone);
        };
        let _ = app.set_nodelay(true);
        let first = format!("{} {target} HTTP/1.1", request.method);
        app.write_all(&http::head(&first, &self.told_to_app(stream, request, more)))?;
        app.write_all(rest)?;
        rest.clear();
        stream.set_read_timeout(None)?;
        let (mut from, mut to) = (stream.try_clone()?, app.try_clone()?);
        let upload = thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            // The browser has ended, or this connection is at its end.
            let _ = to.shutdown(Shutdown::Write);
        });
        let status = self.bring_back(stream, request, &mut app, serving, &gone);
        let _ = stream.shutdown(Shutdown::Both);
        let _ = app.shutdown(Shutdown::Both);
        let _ = upload.join();
        status
    }

    /// Passes the answer on, or the page about what went wrong.
    fn bring_back(
        &self,
        stream: &mut TcpStream,
        request: &Request,
        app: &mut TcpStream,
        serving: &Serving,
        gone: &Report,
    ) -> io::Result<u16> {
        let mut buffer = Vec::new();
        loop {
            let head = match http::read_answer(app, &mut buffer) {
                Ok(Some(head)) => head,
                Ok(None) | Err(_) => return self.report(&mut Answering { stream, request }, gone),
            };
            let first = format!("HTTP/1.1 {} {}", head.status, head.reason);
            if http::header(&head.headers, "x-cloudtool-failure").is_some() {
                app.take(REPORT_MAX).read_to_end(&mut buffer)?;
                let mut report: Report = serde_json::from_slice(&buffer).unwrap_or_else(|_| gone.clone());
                if let Some(module) = &report.missing {
                    let python = report.python.as_deref().unwrap_or("Python");
                    let more = serving.advice.as_ref().map(|advice| format!(" {advice}")).unwrap_or_default();
                    report.hint = Some(format!("{python} has no module {module}.{more}"));
                }
                return self.report(&mut Answering { stream, request }, &report);
            }
            let mut headers = head.headers;
            let is_last = !(100..200).contains(&head.status) || head.status == 101;
            if is_last && head.status != 101 {
                headers
                    .retain(|(name, _)| !["connection", "keep-alive"].iter().any(|hop| name.eq_ignore_ascii_case(hop)));
                headers.push(("Connection".to_owned(), b"close".to_vec()));
            }
            stream.write_all(&http::head(&first, &headers))?;
            if is_last {
                stream.write_all(&buffer)?;
                io::copy(app, stream)?;
                return Ok(head.status);
            }
        }
    }

    /// The headers of the request, and what only the front may say.
    fn told_to_app(&self, stream: &TcpStream, request: &Request, more: &[(&str, String)]) -> Headers {
        let mut headers = request.headers.clone();
        let hops = ["keep-alive", "proxy-connection", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
        headers.retain(|(name, _)| {
            let name = name.to_ascii_lowercase();
            !name.starts_with("x-cloudtool-")
                && !hops.contains(&name.as_str())
                && (name != "connection" || request.upgrades())
        });
        let mut say = |name: &str, value: String| headers.push((name.to_owned(), value.into_bytes()));
        if !request.upgrades() {
            say("Connection", "close".to_owned());
        }
        if let Ok(peer) = stream.peer_addr() {
            say("X-Forwarded-For", peer.ip().to_string());
        }
        say("X-Forwarded-Host", request.header("host").unwrap_or("localhost").to_owned());
        say("X-Forwarded-Proto", "http".to_owned());
        if !self.mount.is_empty() {
            say("X-Cloudtool-Mount", self.mount.clone());
            say("X-Forwarded-Prefix", self.mount.clone());
        }
        for (name, value) in more {
            say(name, encoded(value));
        }
        headers
    }
}

/// A header's value holds no bytes that mean something there.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
