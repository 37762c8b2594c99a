//! What an API said when it refused.

use std::fmt;

use serde_json::Value;

/// Why an API refused, coarsely: what all clouds have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It does not know who asks.
    Credentials,
    /// It knows, and this is not allowed.
    Forbidden,
    NotFound,
    /// The thing is there already, or not in the state for it.
    Conflict,
    /// The thing is occupied with an earlier order, and nothing was done: another try later makes sense.
    Busy,
    /// More than the account may have.
    Quota,
    /// Too many requests.
    Throttled,
    /// Anything else of the request's own fault (4xx).
    Invalid,
    /// The API's own fault (5xx).
    Trouble,
}

impl Reason {
    /// What the status alone says.
    pub fn of_status(status: u16) -> Self {
        match status {
            401 => Reason::Credentials,
            403 => Reason::Forbidden,
            404 | 410 => Reason::NotFound,
            409 => Reason::Conflict,
            423 => Reason::Busy,
            413 | 429 => Reason::Throttled,
            500.. => Reason::Trouble,
            _ => Reason::Invalid,
        }
    }
}

/// The words of a refusal, read from an answer's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    pub reason: Reason,
    /// The API's own word for it, may be empty.
    pub code: String,
    pub message: String,
}

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub provider: String,
    /// The request without its query: `POST /v2/droplets`.
    pub request: String,
    pub status: u16,
    pub reason: Reason,
    pub code: String,
    pub message: String,
    /// Which setting the credentials are from.
    pub credentials: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal { provider, request, status, code, message, .. } = self;
        let code = if code.is_empty() || message.contains(code) { String::new() } else { format!("{code}: ") };
        match self.reason {
            Reason::Credentials => write!(f, "{provider} refuses the credentials: {code}{message}"),
            _ => write!(f, "{provider}: {code}{message} ({status} to {request})"),
        }
    }
}

/// Reads the words of a JSON API's refusal. Knows the forms of all clouds here: `{"id", "message"}` (DigitalOcean),
/// `{"error": {"code", "message"}}` (Hetzner, Google, Keystone), `{"errors": [{"field", "reason"}]}` (Linode),
/// `{"error": "text"}` (Vultr), `{"itemNotFound": {"code", "message"}}` (Nova).
pub fn words_of_json(status: u16, body: &[u8]) -> Words {
    let mut reason = Reason::of_status(status);
    let (code, message) =
        serde_json::from_slice(body).ok().and_then(|value| code_and_message(&value)).unwrap_or_default();
    let message = if message.is_empty() { format!("the API answers {status}") } else { one_line(&message) };
    let hints = format!("{code} {message}").to_lowercase();
    if matches!(reason, Reason::Forbidden | Reason::Invalid | Reason::Conflict) {
        if hints.contains("ratelimitexceeded") || hints.contains("rate_limit_exceeded") {
            reason = Reason::Throttled;
        } else if hints.contains("quota")
            || (hints.contains("limit") && ["exceed", "reached"].iter().any(|word| hints.contains(word)))
        {
            reason = Reason::Quota;
        } else if ["conflict", "resourceNotReady"].contains(&code.as_str())
            || ["pending event", "linode busy"].iter().any(|word| hints.contains(word))
        {
            // Hetzner, Google; DigitalOcean, Linode.
            reason = Reason::Busy;
        }
    }
    Words { reason, code, message }
}

fn code_and_message(value: &Value) -> Option<(String, String)> {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    match value.get("error") {
        Some(Value::String(message)) => return Some((String::new(), message.clone())),
        Some(error @ Value::Object(_)) => {
            let reason = error["errors"][0]["reason"].as_str().map(str::to_owned);
            return Some((reason.unwrap_or_else(|| text(error, "code")), text(error, "message")));
        }
        _ => {}
    }
    if let Some(errors) = value.get("errors").and_then(Value::as_array) {
        let told = errors.iter().map(|error| match text(error, "field").as_str() {
            "" => text(error, "reason"),
            field => format!("{field}: {}", text(error, "reason")),
        });
        return Some((String::new(), told.collect::<Vec<_>>().join("; ")));
    }
    if value.get("message").is_some() {
        return Some((text(value, "id"), text(value, "message")));
    }
    let (name, inner) = value.as_object()?.iter().next()?;
    Some((name.clone(), text(inner, "message")))
}

/// A message as one line of bounded length, without control characters.
pub fn one_line(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(500) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_understood() {
        for (status, body, reason, code, message) in [
            (404, r#"{"id":"not_found","message":"gone"}"#, Reason::NotFound, "not_found", "gone"),
            (401, r#"{"error":{"code":"unauthorized","message":"no"}}"#, Reason::Credentials, "unauthorized", "no"),
            (401, r#"{"error":{"code":401,"message":"no","title":"Unauthorized"}}"#, Reason::Credentials, "", "no"),
            (
                400,
                r#"{"errors":[{"reason":"bad","field":"label"},{"reason":"x"}]}"#,
                Reason::Invalid,
                "",
                "label: bad; x",
            ),
            (400, r#"{"error":"Invalid plan","status":400}"#, Reason::Invalid, "", "Invalid plan"),
            (
                409,
                r#"{"conflictingRequest":{"code":409,"message":"busy"}}"#,
                Reason::Conflict,
                "conflictingRequest",
                "busy",
            ),
            (413, r#"{"overLimit":{"code":413,"message":"slow"}}"#, Reason::Throttled, "overLimit", "slow"),
            (
                403,
                r#"{"forbidden":{"message":"Quota exceeded for cores"}}"#,
                Reason::Quota,
                "forbidden",
                "Quota exceeded for cores",
            ),
            (
                403,
                r#"{"error":{"code":403,"message":"slow","errors":[{"reason":"rateLimitExceeded"}]}}"#,
                Reason::Throttled,
                "rateLimitExceeded",
                "slow",
            ),
            (502, "<html>", Reason::Trouble, "", "the API answers 502"),
            (
                423,
                r#"{"error":{"code":"locked","message":"server is locked"}}"#,
                Reason::Busy,
                "locked",
                "server is locked",
            ),
            (409, r#"{"error":{"code":"conflict","message":"try again"}}"#, Reason::Busy, "conflict", "try again"),
            (
                422,
                r#"{"id":"unprocessable_entity","message":"Droplet already has a pending event."}"#,
                Reason::Busy,
                "unprocessable_entity",
                "Droplet already has a pending event.",
            ),
            (400, r#"{"errors":[{"reason":"Linode busy."}]}"#, Reason::Busy, "", "Linode busy."),
            (
                422,
                r#"{"id":"unprocessable_entity","message":"creating this will exceed your droplet limit"}"#,
                Reason::Quota,
                "unprocessable_entity",
                "creating this will exceed your droplet limit",
            ),
            (400, r#"{"errors":[{"reason":"Account Limit reached."}]}"#, Reason::Quota, "", "Account Limit reached."),
        ] {
            let words = words_of_json(status, body.as_bytes());
            assert_eq!((words.reason, words.code.as_str(), words.message.as_str()), (reason, code, message), "{body}");
        }
    }

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(one_line("a\n b\u{1b}[31m"), "a b [31m");
        assert!(one_line(&"x".repeat(10_000)).len() < 600);
    }

    proptest::proptest! {
        #[test]
        fn any_body_is_read(status in 300u16..600, body in "(?s).{0,100}|\\{\"error(s)?\":(\\[|\\{|\"|1|null).{0,20}") {
            let words = words_of_json(status, body.as_bytes());
            assert!(!words.message.contains('\n'));
        }
    }
}
