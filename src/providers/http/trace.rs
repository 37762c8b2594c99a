//! `--trace-http FILE`: every request to a cloud and its answer, one JSON object a line, without secrets.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;

use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};

use crate::names::Secret;

/// What stands in the place of a secret.
const HIDDEN: &str = "***";
/// More of a body is not written.
const MOST: usize = 1 << 20;
/// Headers that may be read; any other one may carry what proves who we are.
const OPEN_HEADERS: [&str; 22] = [
    "accept",
    "content-length",
    "content-type",
    "date",
    "location",
    "openstack-api-version",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "retry-after",
    "server",
    "user-agent",
    "x-amz-date",
    "x-amzn-requestid",
    "x-compute-request-id",
    "x-filter",
    "x-openstack-nova-api-version",
    "x-openstack-request-id",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-request-id",
];
/// Parts of the names of fields whose values are secrets, in lower case without `_` and `-`.
const SECRET_FIELDS: [&str; 13] = [
    "accesstoken",
    "adminpass",
    "apikey",
    "assertion",
    "credential",
    "password",
    "personality",
    "privatekey",
    "rootpass",
    "secret",
    "signature",
    "token",
    "userdata",
];
/// Fields that have such a part in their name and tell nothing.
const OPEN_FIELDS: [&str; 6] =
    ["clienttoken", "maxtokens", "nexttoken", "signaturemethod", "signatureversion", "tokenuri"];

/// A file that exchanges are written to.
pub struct Trace {
    file: Mutex<File>,
}

/// One request and what came of it.
pub struct Exchange<'a> {
    pub provider: &'a str,
    pub request: &'a reqwest::blocking::Request,
    pub milliseconds: u128,
    /// Status, headers, body; or why there is none.
    pub answer: Result<(u16, &'a HeaderMap, &'a [u8]), &'a str>,
    /// Texts that must not stand in the file wherever they occur.
    pub secrets: &'a [Secret],
}

impl Trace {
    /// Appends to the file; a new one is the user's alone.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        Ok(Trace { file: Mutex::new(file) })
    }

    /// Writes one exchange. A trace that cannot be written is no reason to fail.
    pub fn write(&self, exchange: &Exchange<'_>) {
        let line = format!("{}\n", hide_texts(&describe(exchange).to_string(), exchange.secrets));
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = file.write_all(line.as_bytes());
    }
}

fn describe(exchange: &Exchange<'_>) -> Value {
    let request = exchange.request;
    let sent = request.body().and_then(reqwest::blocking::Body::as_bytes).unwrap_or_default();
    let mut line = json!({
        "provider": exchange.provider,
        "method": request.method().as_str(),
        "url": url(request.url()),
        "headers": headers(request.headers()),
        "body": body(content_type(request.headers()), sent),
        "milliseconds": u64::try_from(exchange.milliseconds).unwrap_or(u64::MAX),
    });
    match exchange.answer {
        Ok((status, answer_headers, answer)) => {
            line["status"] = json!(status);
            line["answer_headers"] = headers(answer_headers);
            line["answer"] = body(content_type(answer_headers), answer);
        }
        Err(reason) => line["error"] = json!(reason),
    }
    line
}

fn url(url: &reqwest::Url) -> String {
    let mut open = url.clone();
    let _ = open.set_password(None);
    if url.query().is_some() {
        let pairs: Vec<(String, String)> = url.query_pairs().map(|(key, value)| hidden_pair(&key, &value)).collect();
        open.query_pairs_mut().clear().extend_pairs(pairs);
    }
    open.into()
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn headers(headers: &HeaderMap) -> Value {
    let shown = headers.iter().map(|(name, value)| {
        let open = OPEN_HEADERS.contains(&name.as_str());
        (
            name.to_string(),
            if open { String::from_utf8_lossy(value.as_bytes()).into_owned() } else { HIDDEN.into() }.into(),
        )
    });
    Value::Object(shown.collect::<Map<_, _>>())
}

/// A body as JSON: JSON with its secret fields hidden, a form the same way, other text as it is (XML answers hold no secret).
fn body(content_type: &str, bytes: &[u8]) -> Value {
    if bytes.is_empty() {
        return Value::Null;
    }
    if bytes.len() > MOST {
        return json!(format!("{} bytes", bytes.len()));
    }
    if let Ok(value) = serde_json::from_slice(bytes) {
        return hidden(value);
    }
    if content_type.starts_with("application/x-www-form-urlencoded") {
        let pairs = form_pairs(bytes).map(|(key, value)| {
            let (key, value) = hidden_pair(&key, &value);
            (key, Value::String(value))
        });
        return Value::Object(pairs.collect());
    }
    json!(String::from_utf8_lossy(bytes))
}

fn form_pairs(bytes: &[u8]) -> impl Iterator<Item = (String, String)> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let url = reqwest::Url::parse(&format!("x:?{text}")).ok();
    let pairs: Vec<(String, String)> =
        url.iter().flat_map(|url| url.query_pairs()).map(|(key, value)| (key.into(), value.into())).collect();
    pairs.into_iter()
}

fn hidden_pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), if is_secret(key) { HIDDEN.to_owned() } else { value.to_owned() })
}

fn hidden(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(hidden).collect(),
        Value::Object(mut fields) => {
            // A list of pairs (Google's metadata) names its fields in a field.
            if fields.get("key").and_then(Value::as_str).is_some_and(is_secret) && fields.contains_key("value") {
                fields.insert("value".into(), HIDDEN.into());
            }
            let hide = |(key, value): (String, Value)| {
                // Keystone's answers have an object `token` (the token itself is a header), classic Rackspace's one with `id` in it.
                let value = match value {
                    Value::Object(mut fields) if is_secret(&key) => {
                        if let Some(id) = fields.get_mut("id") {
                            *id = HIDDEN.into();
                        }
                        hidden(Value::Object(fields))
                    }
                    Value::Null | Value::Bool(_) => value,
                    _ if is_secret(&key) => HIDDEN.into(),
                    value => hidden(value),
                };
                (key, value)
            };
            Value::Object(fields.into_iter().map(hide).collect())
        }
        value => value,
    }
}

fn is_secret(field: &str) -> bool {
    let plain: String = field.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    !OPEN_FIELDS.contains(&plain.as_str()) && SECRET_FIELDS.iter().any(|part| plain.contains(part))
}

fn hide_texts(line: &str, secrets: &[Secret]) -> String {
    secrets
        .iter()
        .map(Secret::expose)
        .filter(|secret| secret.len() >= 4)
        .fold(line.to_owned(), |line, secret| line.replace(secret, HIDDEN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_in_every_place() {
        let client = reqwest::blocking::Client::new();
        let request = client
            .post("https://u:hunter2@api.test/v2?Signature=hunter2&page=2&AWSSecretAccessKey=hunter2&x=known-secret")
            .header("authorization", "Bearer hunter2")
            .header("x-auth-token", "hunter2")
            .header("user-agent", "cloudtool")
            .json(
                &json!({"auth": {"password": "hunter2", "apiKey": "hunter2", "scope": "mine"}, "user_data": "hunter2",
                    "items": [{"key": "user-data", "value": "hunter2"}, {"key": "a", "value": "b"}]}),
            )
            .build()
            .unwrap();
        let answer = br#"{"token": {"id": "hunter2", "expires_at": "soon"}, "access_token": "hunter2", "server": {"adminPass": "hunter2"}}"#;
        let line = describe(&Exchange {
            provider: "c",
            request: &request,
            milliseconds: 3,
            answer: Ok((200, &HeaderMap::new(), answer)),
            secrets: &[],
        });
        let text = hide_texts(&line.to_string(), &[Secret::new("known-secret")]);
        assert!(!text.contains("hunter2") && !text.contains("known-secret"), "{text}");
        for open in [
            "page=2",
            "\"scope\":\"mine\"",
            "\"value\":\"b\"",
            "\"expires_at\":\"soon\"",
            "\"user-agent\":\"cloudtool\"",
        ] {
            assert!(text.contains(open), "{open} in {text}");
        }
    }

    #[test]
    fn forms_are_hidden_by_field() {
        let shown =
            body("application/x-www-form-urlencoded", b"Action=RunInstances&UserData=aHVudGVyMg%3D%3D&ClientToken=a");
        assert_eq!(shown, json!({"Action": "RunInstances", "UserData": "***", "ClientToken": "a"}));
    }

    #[test]
    fn the_file_is_the_users_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trace");
        Trace::open(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
