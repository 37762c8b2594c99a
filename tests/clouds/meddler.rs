//! Stands between a driver and its server, and does what networks and APIs in trouble do.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// Nothing: it is passed on.
    None,
    /// Answered with this status and `Retry-After`.
    Status(u16, Option<&'static str>),
    /// The same with a date that many seconds from now.
    RetryAtDate(u16, u64),
    /// Answered with a page of HTML.
    Garbage,
    /// Answered with 200 and an empty JSON object.
    Empty,
    /// Passed on, and the answer breaks off in the middle.
    Truncate,
    /// Passed on, and answered with a page of HTML.
    Garble,
    /// Passed on, and never answered.
    Swallow,
    /// Accepted, never passed on, never answered.
    Hang,
    /// Sent elsewhere, by 302.
    Redirect,
    /// Answered with this status and XML.
    Xml(u16, &'static str),
}

/// One request that came by.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// With its query.
    pub path: String,
    pub body: String,
}

type Rule = Box<dyn Fn(&Incoming<'_>, usize) -> Fault + Send + Sync>;

/// A request that something is about to happen to.
struct Incoming<'a> {
    method: &'a str,
    path: &'a str,
    body: &'a str,
}

pub struct Meddler {
    pub port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    ended: Arc<AtomicBool>,
}

impl Meddler {
    /// In front of `origin` (`http://127.0.0.1:PORT`). `rule` is told method, path and the number of requests before, and says what happens.
    ///
    /// Where an answer names further servers of this machine (a catalogue of services), it stands in front of those too.
    pub fn before(origin: &str, rule: impl Fn(&str, &str, usize) -> Fault + Send + Sync + 'static) -> Self {
        Self::ruled(origin, Box::new(move |incoming, before| rule(incoming.method, incoming.path, before)))
    }

    /// The same where all requests have one path: `rule` is told the body instead.
    pub fn looking_into(origin: &str, rule: impl Fn(&str, usize) -> Fault + Send + Sync + 'static) -> Self {
        Self::ruled(origin, Box::new(move |incoming, before| rule(incoming.body, before)))
    }

    fn ruled(origin: &str, rule: Rule) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let shared: (Arc<Mutex<Vec<Seen>>>, Arc<AtomicBool>) = (seen.clone(), ended.clone());
        let (origin, rule): (String, Arc<Rule>) = (origin.to_owned(), Arc::new(rule));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.1.load(Ordering::SeqCst) {
                    return;
                }
                let (origin, rule, seen) = (origin.clone(), rule.clone(), shared.0.clone());
                std::thread::spawn(move || meddle(stream, port, &origin, &rule, &seen));
            }
        });
        Meddler { port, seen, ended }
    }

    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

/// One connection, one request.
fn meddle(mut stream: TcpStream, port: u16, origin: &str, rule: &Rule, seen: &Mutex<Vec<Seen>>) {
    let Some((head, body)) = read_request(&mut stream) else { return };
    let mut words = head.split_ascii_whitespace();
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let (head, path, origin) = match behind_us(&path) {
        Some((server, own_path)) => (head.replacen(&path, &own_path, 1), own_path, server),
        None => (head, path, origin.to_owned()),
    };
    let fault = {
        let mut seen = seen.lock().unwrap();
        let text = String::from_utf8_lossy(&body).into_owned();
        let fault = rule(&Incoming { method: &method, path: &path, body: &text }, seen.len());
        seen.push(Seen { method: method.clone(), path: path.clone(), body: text });
        fault
    };
    let status = |status: u16, extra: String, body: &str| {
        format!(
            "HTTP/1.1 {status} Meddled\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n{extra}\r\n{body}",
            body.len()
        )
        .into_bytes()
    };
    let garbage = status(200, String::new(), "<html><body>It works!</body></html>");
    let answer = match fault {
        Fault::None => pass_on(&head, &body, port, &origin),
        Fault::Status(code, after) => {
            let extra = after.map(|after| format!("retry-after: {after}\r\n")).unwrap_or_default();
            status(code, extra, "{}")
        }
        Fault::RetryAtDate(code, seconds) => {
            let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds));
            status(code, format!("retry-after: {date}\r\n"), "{}")
        }
        Fault::Garbage => garbage,
        Fault::Garble => {
            pass_on(&head, &body, port, &origin);
            garbage
        }
        Fault::Empty => status(200, String::new(), "{}"),
        Fault::Truncate => {
            let whole = pass_on(&head, &body, port, &origin);
            let cut = whole.len().saturating_sub(10);
            whole[..cut].to_vec()
        }
        Fault::Swallow => {
            pass_on(&head, &body, port, &origin);
            std::thread::sleep(Duration::from_secs(60));
            return;
        }
        Fault::Hang => {
            std::thread::sleep(Duration::from_secs(60));
            return;
        }
        Fault::Xml(code, body) => status(code, String::new(), body),
        Fault::Redirect => status(302, "location: http://127.0.0.2:9/elsewhere\r\n".into(), ""),
    };
    let _ = stream.write_all(&answer);
    let _ = stream.shutdown(Shutdown::Both);
}

/// The server and its own path of a path that [`through_us`] made.
fn behind_us(path: &str) -> Option<(String, String)> {
    let (port, rest) = path.strip_prefix("/~")?.split_once('/')?;
    Some((format!("http://127.0.0.1:{}", port.parse::<u16>().ok()?), format!("/{rest}")))
}

/// Lets the addresses of other servers of this machine lead to us: `http://127.0.0.1:PORT/x` becomes `http://OURS/~PORT/x`.
fn through_us(text: &str, ours: &str) -> String {
    const START: &str = "http://127.0.0.1:";
    let mut pieces = text.split(START);
    let mut whole = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (port, rest) = piece.split_at(piece.bytes().take_while(u8::is_ascii_digit).count());
        let address = format!("{START}{port}");
        whole += &if address.ends_with(ours) { address } else { format!("http://{ours}/~{port}") };
        whole += rest;
    }
    whole
}

fn read_request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length = header(&head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        let mut body = bytes[end + 4..].to_vec();
        while body.len() < length {
            let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
            body.extend_from_slice(&buffer[..count]);
        }
        return Some((head, body));
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Asks the server the same over a connection of its own, with its own name as the host, and lets its links lead to us.
fn pass_on(head: &str, body: &[u8], port: u16, origin: &str) -> Vec<u8> {
    let authority = origin.trim_start_matches("http://");
    let ours = format!("127.0.0.1:{port}");
    let mut lines = head.lines();
    let mut request = format!("{}\r\n", lines.next().unwrap_or_default());
    for line in lines {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        // A signature holds the host it was made for.
        if !["connection", "accept-encoding"].contains(&name.as_str()) {
            request += &format!("{line}\r\n");
        }
    }
    request += "connection: close\r\n\r\n";
    let mut server = TcpStream::connect(authority).expect("the server is there");
    server.write_all(request.as_bytes()).and_then(|()| server.write_all(body)).expect("it listens");
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).expect("it answers");
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return answer };
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let mut content = answer[end + 4..].to_vec();
    if header(&head, "transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        content = unchunked(&content);
    }
    let content = through_us(&String::from_utf8_lossy(&content).replace(authority, &ours), &ours).into_bytes();
    let kept = head.lines().filter(|line| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        !["content-length", "transfer-encoding", "connection"].contains(&name.as_str())
    });
    let head: Vec<String> = kept.map(|line| line.replace(authority, &ours)).collect();
    let mut whole =
        format!("{}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", head.join("\r\n"), content.len()).into_bytes();
    whole.extend_from_slice(&content);
    whole
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(String::from_utf8_lossy(&bytes[..end]).trim(), 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 2 + size + 2..];
    }
    whole
}
