//! One request to an API, and its answer.

use std::time::Duration;

use reqwest::blocking::Client;
use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use serde_json::Value;

use super::super::error::{Error, Result};
use super::retry::Repeat;

/// A request, relative to an API's base address.
#[derive(Debug, Clone)]
pub struct Request {
    method: Method,
    /// Without a leading slash; may have a query of its own (links of pages).
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(&'static str, String)>,
    body: Body,
    /// What it is called in messages, where that is not its method and path.
    name: Option<&'static str>,
    pub(super) repeat: Repeat,
}

#[derive(Debug, Clone)]
enum Body {
    None,
    Json(Value),
    /// Text and its content type.
    Text(String, &'static str),
}

impl Request {
    fn new(method: Method, path: impl Into<String>, repeat: Repeat) -> Self {
        Request {
            method,
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Body::None,
            name: None,
            repeat,
        }
    }

    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, Repeat::Harmless)
    }

    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path, Repeat::Harmless)
    }

    /// Not repeated in doubt, unless it is made [`Request::repeatable`].
    pub fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path, Repeat::Harmful)
    }

    pub fn query(mut self, key: &str, value: impl ToString) -> Self {
        self.query.push((key.to_owned(), value.to_string()));
        self
    }

    pub fn queries(self, pairs: &[(&str, &str)]) -> Self {
        pairs.iter().fold(self, |request, (key, value)| request.query(key, value))
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn json(mut self, body: Value) -> Self {
        self.body = Body::Json(body);
        self
    }

    pub fn text(mut self, body: impl Into<String>, content_type: &'static str) -> Self {
        self.body = Body::Text(body.into(), content_type);
        self
    }

    /// Sending it twice is the same as sending it once: it reads, or has an idempotency token, or asks for a state.
    pub fn repeatable(mut self) -> Self {
        self.repeat = Repeat::Harmless;
        self
    }

    /// Says what it does, for APIs whose requests all go to one path.
    pub fn called(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// Its name, or else method and path, without the query, which may hold a signature.
    pub fn title(&self) -> String {
        if let Some(name) = self.name {
            return name.to_owned();
        }
        format!("{} /{}", self.method, self.path())
    }

    /// Its path, without the query.
    pub(super) fn path(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// Its path and query: what tells one page of a list from another.
    pub(super) fn place(&self) -> String {
        let pairs = self.query.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&");
        if pairs.is_empty() { self.path.clone() } else { format!("{}?{pairs}", self.path) }
    }

    /// `timeout` is for all of the answer.
    pub(super) fn build(&self, client: &Client, base: &Url, timeout: Duration) -> Result<reqwest::blocking::Request> {
        let bad = |message: String| Error::Credentials { message };
        // Not `join`: a path from an API's answer must not become another origin.
        let mut url = base.clone();
        let (path, query) = self.path.split_once('?').map_or((self.path.as_str(), None), |(p, q)| (p, Some(q)));
        url.set_path(&format!("{}{path}", base.path()));
        url.set_query(query);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        let mut builder =
            client.request(self.method.clone(), url).timeout(timeout).header("accept", "application/json");
        for (name, value) in &self.headers {
            builder = builder.header(*name, value);
        }
        builder = match &self.body {
            Body::None => builder,
            Body::Json(value) => builder.json(value),
            Body::Text(text, content_type) => builder.header("content-type", *content_type).body(text.clone()),
        };
        builder.build().map_err(|error| bad(told(&error)))
    }
}

/// A text (an id, a name) as one segment of a path, whatever is in it.
pub fn segment(text: &str) -> String {
    if text.is_empty() || text == "." || text == ".." {
        // They would name another path, and nothing has such an id.
        return "_".to_owned();
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// What an API answered.
#[derive(Debug)]
pub struct Answer {
    pub(super) provider: String,
    pub(super) request: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as a JSON object; [`Value::Null`] when there is none.
    ///
    /// Errors: [`Error::Api`] when it is something else.
    pub fn json(&self) -> Result<Value> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        match serde_json::from_slice(&self.body) {
            Ok(value @ (Value::Object(_) | Value::Null)) => Ok(value),
            // No API here answers so, and a list has no fields that could be looked for.
            Ok(_) => Err(self.nonsense("that is no JSON object")),
            Err(error) => Err(self.nonsense(&format!("that is not JSON: {error}"))),
        }
    }

    /// The error for a body that is not what it should be; `why` completes "answers with N bytes of TYPE ...".
    pub fn nonsense(&self, why: &str) -> Error {
        let kind = self.header("content-type").unwrap_or("unknown type");
        Error::Api {
            provider: self.provider.clone(),
            message: format!("{} is answered with {} bytes of {kind} {why}", self.request, self.body.len()),
        }
    }
}

/// No answer.
pub(super) struct Broken {
    /// The request certainly did not arrive.
    pub(super) unsent: bool,
    /// Because nobody knows the host.
    pub(super) no_such_host: bool,
    pub(super) reason: String,
}

impl From<&reqwest::Error> for Broken {
    fn from(error: &reqwest::Error) -> Self {
        let reason = if error.is_timeout() { "no answer in time".to_owned() } else { told(error) };
        // Its type is private to the client.
        let no_such_host = causes(error).any(|cause| cause.to_string().starts_with("dns error"));
        Broken { unsent: error.is_connect(), no_such_host, reason }
    }
}

/// The innermost reason, without the address: a query may hold a signature.
pub(super) fn told(error: &reqwest::Error) -> String {
    let reason = causes(error).last().map(ToString::to_string);
    let reason = reason.unwrap_or_else(|| "the request cannot be sent".to_owned());
    reason.trim_start_matches("failed to lookup address information: ").to_owned()
}

/// What an error is because of, and that again, to the innermost.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(error), |cause| cause.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(request: Request) -> String {
        let base = Url::parse("https://api.test/v2/").unwrap();
        request.build(&Client::new(), &base, Duration::from_secs(1)).unwrap().url().to_string()
    }

    #[test]
    fn paths_stay_below_the_base() {
        assert_eq!(url(Request::get("droplets").query("page", 2)), "https://api.test/v2/droplets?page=2");
        assert_eq!(url(Request::get("droplets?page=2&x=a%20b")), "https://api.test/v2/droplets?page=2&x=a%20b");
        assert_eq!(url(Request::get("//evil.test/x")), "https://api.test/v2///evil.test/x");
        for id in ["a/../../b", "..", "", "x?y#z", "a b", "ü"] {
            let url = url(Request::get(format!("droplets/{}", segment(id))));
            let rest = url.strip_prefix("https://api.test/v2/droplets/").unwrap();
            assert!(!rest.is_empty() && !rest.contains(['/', '?', '#', ' ']), "{url}");
        }
    }

    #[test]
    fn an_answer_is_an_object_or_nothing() {
        let answer = |body: &[u8]| Answer {
            provider: "c".into(),
            request: "GET /x".into(),
            status: 200,
            headers: HeaderMap::new(),
            body: body.to_vec(),
        };
        assert_eq!(answer(b"").json().unwrap(), Value::Null);
        assert_eq!(answer(b"{\"a\":1}").json().unwrap()["a"], 1);
        for body in ["[]", "1", "\"x\"", "{", "<html>"] {
            let error = answer(body.as_bytes()).json().unwrap_err().to_string();
            assert!(error.contains("that is no"), "{body}: {error}");
        }
    }

    #[test]
    fn a_title_has_no_query() {
        assert_eq!(Request::get("x?Signature=1").query("a", "b").title(), "GET /x");
        assert_eq!(Request::post("").called("RunInstances").title(), "RunInstances");
    }
}
