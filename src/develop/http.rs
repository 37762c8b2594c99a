//! HTTP/1.1, as much of it as a front on a developer's machine needs: heads of requests and answers, and files.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// Longer heads are refused.
const HEAD_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 128;
/// Files of these endings are said to be UTF-8, as a slot's Apache does.
const UTF8: [&str; 7] = ["html", "css", "js", "json", "txt", "xml", "svg"];

pub type Headers = Vec<(String, Vec<u8>)>;

/// The head of a request.
#[derive(Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    /// Whether the client knows connections that are kept.
    keeps: bool,
    pub headers: Headers,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The path of the target, and its query with the question mark.
    pub fn path(&self) -> (&str, &str) {
        let at = self.target.find('?').unwrap_or(self.target.len());
        self.target.split_at(at)
    }

    pub fn is_reading(&self) -> bool {
        ["GET", "HEAD"].contains(&self.method.as_str())
    }

    /// The host that was asked for, without its port.
    pub fn host(&self) -> String {
        let host = self.header("host").unwrap_or("localhost");
        let end = if host.starts_with('[') {
            host.find(']').map_or(host.len(), |end| end + 1)
        } else {
            host.find(':').unwrap_or(host.len())
        };
        host[..end].to_ascii_lowercase()
    }

    /// Whether another request may follow on the connection after an answer of our own.
    pub fn keeps(&self) -> bool {
        let has_body = self.header("transfer-encoding").is_some()
            || self.header("content-length").is_some_and(|length| length.trim() != "0");
        self.keeps && !has_body && !self.says("connection", "close")
    }

    /// Whether it asks for another protocol, a WebSocket say.
    pub fn upgrades(&self) -> bool {
        self.says("connection", "upgrade") && self.header("upgrade").is_some()
    }

    fn says(&self, name: &str, word: &str) -> bool {
        self.header(name).is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    }
}

pub fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    let (_, value) = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(value).ok()
}

/// The head of an answer.
pub struct Head {
    pub status: u16,
    pub reason: String,
    pub headers: Headers,
}

/// Reads the head of a request; what follows it stays in `buffer`. None at the end of the connection.
///
/// Errors: `InvalidData` for what is no request.
pub fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    read_head(stream, buffer, |bytes| {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(length) = parsed.parse(bytes).map_err(|_| refused())? else { return Ok(None) };
        let request = Request {
            method: parsed.method.unwrap_or_default().to_owned(),
            target: parsed.path.unwrap_or_default().to_owned(),
            keeps: parsed.version == Some(1),
            headers: owned(parsed.headers),
        };
        Ok(Some((length, request)))
    })
}

/// The same for an answer.
pub fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Head>> {
    read_head(stream, buffer, |bytes| {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(length) = parsed.parse(bytes).map_err(|_| refused())? else { return Ok(None) };
        let head = Head {
            status: parsed.code.unwrap_or_default(),
            reason: parsed.reason.unwrap_or_default().to_owned(),
            headers: owned(parsed.headers),
        };
        Ok(Some((length, head)))
    })
}

fn read_head<T>(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    parse: impl Fn(&[u8]) -> io::Result<Option<(usize, T)>>,
) -> io::Result<Option<T>> {
    let mut piece = [0; 8192];
    loop {
        if let Some((length, head)) = parse(buffer)? {
            buffer.drain(..length);
            return Ok(Some(head));
        }
        if buffer.len() > HEAD_MAX {
            return Err(refused());
        }
        match stream.read(&mut piece)? {
            0 if buffer.is_empty() => return Ok(None),
            0 => return Err(refused()),
            read => buffer.extend_from_slice(&piece[..read]),
        }
    }
}

fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "this is not HTTP")
}

fn owned(headers: &[httparse::Header<'_>]) -> Headers {
    headers.iter().map(|header| (header.name.to_owned(), header.value.to_owned())).collect()
}

/// A head as it is written.
pub fn head(first: &str, headers: &Headers) -> Vec<u8> {
    let mut bytes = format!("{first}\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Where answers of our own go.
pub struct Answering<'a> {
    pub stream: &'a mut TcpStream,
    pub request: &'a Request,
}

impl Answering<'_> {
    /// A whole answer. The status, for the log.
    pub fn send(&mut self, status: u16, headers: &[(&str, &str)], body: &[u8]) -> io::Result<u16> {
        let mut all = headers.to_vec();
        let length = body.len().to_string();
        all.push(("Content-Length", &length));
        self.head(status, &all)?;
        if self.request.method != "HEAD" {
            self.stream.write_all(body)?;
        }
        Ok(status)
    }

    fn head(&mut self, status: u16, headers: &[(&str, &str)]) -> io::Result<()> {
        let mut all: Headers =
            headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_owned())).collect();
        if !self.request.keeps() {
            all.push(("Connection".to_owned(), b"close".to_vec()));
        }
        self.stream.write_all(&head(&format!("HTTP/1.1 {status} {}", reason(status)), &all))
    }

    /// A file, or as much of it as was asked for. Browsers ask each time whether it has changed: a developer's files do.
    pub fn file(&mut self, path: &Path) -> io::Result<u16> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return self.text(403, "Forbidden\n"),
            Err(_) => return self.text(404, "Not found\n"),
        };
        let metadata = file.metadata()?;
        let (size, changed) = (metadata.len(), metadata.mtime() * 1_000_000 + metadata.mtime_nsec() / 1000);
        let tag = format!("\"{size:x}-{changed:x}\"");
        let seconds = UNIX_EPOCH + Duration::from_secs(u64::try_from(metadata.mtime()).unwrap_or_default());
        let modified = httpdate::fmt_http_date(seconds);
        let kind = content_type(path);
        let mut headers = vec![("ETag", tag.as_str()), ("Last-Modified", &modified), ("Cache-Control", "no-cache")];
        if self.is_fresh(&tag, &modified) {
            self.head(304, &headers)?;
            return Ok(304);
        }
        headers.push(("Accept-Ranges", "bytes"));
        headers.extend(kind.as_deref().map(|kind| ("Content-Type", kind)));
        let may_be_part = self.request.header("if-range").is_none_or(|range| range == tag || range == modified);
        let part = self.request.header("range").filter(|_| may_be_part).and_then(|text| range(text, size));
        let (status, (first, length)) = match part {
            None => (200, (0, size)),
            Some(None) => {
                return self.send(416, &[("Content-Range", &format!("bytes */{size}"))], b"");
            }
            Some(Some((first, last))) => (206, (first, last - first + 1)),
        };
        let (length_text, part) =
            (length.to_string(), format!("bytes {first}-{}/{size}", first + length.saturating_sub(1)));
        headers.push(("Content-Length", &length_text));
        if status == 206 {
            headers.push(("Content-Range", &part));
        }
        self.head(status, &headers)?;
        if self.request.method != "HEAD" {
            file.seek(SeekFrom::Start(first))?;
            io::copy(&mut file.take(length), self.stream)?;
        }
        Ok(status)
    }

    pub fn text(&mut self, status: u16, text: &str) -> io::Result<u16> {
        self.send(status, &[("Content-Type", "text/plain; charset=utf-8")], text.as_bytes())
    }

    fn is_fresh(&self, tag: &str, modified: &str) -> bool {
        match self.request.header("if-none-match") {
            Some(tags) => tags == "*" || tags.split(',').any(|known| known.trim().trim_start_matches("W/") == tag),
            None => self.request.header("if-modified-since") == Some(modified),
        }
    }
}

fn content_type(path: &Path) -> Option<String> {
    let kind = mime_guess::from_path(path).first_raw()?;
    let ending = path.extension()?.to_str()?.to_lowercase();
    Some(if UTF8.contains(&ending.as_str()) { format!("{kind}; charset=utf-8") } else { kind.to_owned() })
}

/// The first and the last byte of the one part that is asked for; none when it is beyond the end. Other wishes are not heard, as HTTP
/// allows.
fn range(text: &str, size: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    if last.contains(',') {
        return None;
    }
    let (first, last) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.min(size.saturating_sub(1))),
        (Ok(first), Err(_)) if last.is_empty() => (first, size.saturating_sub(1)),
        (Err(_), Ok(suffix)) if first.is_empty() && suffix > 0 => (size.saturating_sub(suffix), size.saturating_sub(1)),
        _ => return None,
    };
    Some((first < size).then_some((first, last)))
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        416 => "Range Not Satisfiable",
        502 => "Bad Gateway",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_file() {
        for (text, expected) in [
            ("bytes=0-3", Some(Some((0, 3)))),
            ("bytes=4-", Some(Some((4, 9)))),
            ("bytes=-3", Some(Some((7, 9)))),
            ("bytes=-30", Some(Some((0, 9)))),
            ("bytes=5-99", Some(Some((5, 9)))),
            ("bytes=10-", Some(None)),
            ("bytes=3-1", None),
            ("bytes=-0", None),
            ("bytes=0-1,3-4", None),
            ("lines=0-1", None),
        ] {
            assert_eq!(range(text, 10), expected, "{text}");
        }
    }

    #[test]
    fn kinds_of_files() {
        for (name, kind) in [
            ("a.html", Some("text/html; charset=utf-8")),
            ("a.CSS", Some("text/css; charset=utf-8")),
            ("a.png", Some("image/png")),
            ("a.woff2", Some("font/woff2")),
            ("README", None),
        ] {
            assert_eq!(content_type(Path::new(name)).as_deref(), kind, "{name}");
        }
    }
}
