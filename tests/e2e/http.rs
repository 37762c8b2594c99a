//! A plain HTTP client: one request a connection, or many on one. It never retries.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// A connection that is kept.
pub struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(address: &str, port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect((address, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_nodelay(true)?;
        Ok(Connection { reader: BufReader::new(stream) })
    }

    /// Sends a request and reads the answer whole.
    pub fn request(
        &mut self,
        method: &str,
        host: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        let stream = self.reader.get_mut();
        stream.write_all(&[head.as_bytes(), body].concat())?;
        self.read_answer(method)
    }

    /// Sends bytes as they are and reads the answer.
    pub fn raw(&mut self, bytes: &[u8]) -> std::io::Result<Answer> {
        self.reader.get_mut().write_all(bytes)?;
        self.read_answer("GET")
    }

    fn read_answer(&mut self, method: &str) -> std::io::Result<Answer> {
        let broken = |what: &str| std::io::Error::other(what.to_owned());
        let status_line = self.line()?;
        let status =
            status_line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| broken("no status line"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| broken("a header without a colon"))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: String::new() };
        let mut body = Vec::new();
        if method != "HEAD" && status != 204 && status != 304 {
            if answer.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
                loop {
                    let length = usize::from_str_radix(self.line()?.trim(), 16).map_err(|_| broken("a bad chunk"))?;
                    let mut chunk = vec![0; length + 2];
                    self.reader.read_exact(&mut chunk)?;
                    if length == 0 {
                        break;
                    }
                    body.extend_from_slice(&chunk[..length]);
                }
            } else if let Some(length) = answer.header("content-length").and_then(|value| value.parse().ok()) {
                body = vec![0; length];
                self.reader.read_exact(&mut body)?;
            } else {
                self.reader.read_to_end(&mut body)?;
            }
        }
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Ok(answer)
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(std::io::Error::other("the server closed the connection"));
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

/// One GET on a connection of its own.
pub fn get(address: &str, host: &str, path: &str) -> Answer {
    request(address, "GET", host, path, "", b"")
}

pub fn request(address: &str, method: &str, host: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
    Connection::open(address, 80)
        .and_then(|mut connection| connection.request(method, host, path, headers, body))
        .expect("an answer")
}

/// A form as a browser sends it when it has a file in it: the headers and the body.
pub fn multipart(fields: &[(&str, &str)], file: Option<(&str, &str, &[u8])>) -> (String, Vec<u8>) {
    const BOUNDARY: &str = "between-the-parts-of-the-form";
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    if let Some((name, file, content)) = file {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\nContent-Type: image/png\r\n\r\n"
        );
        body.extend_from_slice(&[head.as_bytes(), content, b"\r\n"].concat());
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    (format!("Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"), body)
}
