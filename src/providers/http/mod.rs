//! What every cloud's API needs of HTTP: one origin, proof of who asks, patience, paging, and a trace without secrets.

mod client;
mod pages;
mod refusal;
mod request;
mod retry;
mod tokens;
mod trace;

pub use pages::Pages;
pub use refusal::{Reason, Refusal, Words, one_line, words_of_json};
pub use request::{Answer, Request, segment};
pub use retry::{Patience, Repeat};
pub use tokens::{Drawer, Token, Tokens};
pub use trace::Trace;

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use reqwest::Url;
use reqwest::blocking::Client;

use super::credentials::Settings;
use super::error::{Error, Result};
use crate::names::Secret;
use request::Broken;
use retry::Failed;

/// An answer has at most so many bytes; EC2's list of all images is the largest of all lists, about 30 MB.
const LARGEST: u64 = 128 << 20;

/// How the APIs of a run are talked to.
#[derive(Clone)]
pub struct Manners {
    /// How long one answer may take.
    pub timeout: Duration,
    pub patience: Patience,
    pub trace: Option<Arc<Trace>>,
    pub tokens: Tokens,
}

impl Default for Manners {
    fn default() -> Self {
        Manners {
            timeout: Duration::from_secs(60),
            patience: Patience::default(),
            trace: None,
            tokens: Tokens::default(),
        }
    }
}

/// Adds to a request what proves who asks: a header, a signature.
pub trait Authorize: Send + Sync {
    /// Also gets a token first, where there is none yet.
    fn authorize(&self, request: &mut reqwest::blocking::Request) -> Result<()>;

    /// The API did not accept it: throw away what may be stale. True when another try makes sense.
    fn renew(&self) -> bool {
        false
    }
}

/// `Authorization: Bearer ...`, for ever the same.
pub struct Bearer(pub Secret);

impl Authorize for Bearer {
    fn authorize(&self, request: &mut reqwest::blocking::Request) -> Result<()> {
        set_secret_header(request, "authorization", &format!("Bearer {}", self.0.expose()))
    }
}

/// Nobody asks: for the request that gets a token.
pub struct Anonymous;

impl Authorize for Anonymous {
    fn authorize(&self, _request: &mut reqwest::blocking::Request) -> Result<()> {
        Ok(())
    }
}

/// Sets a header that no log shows.
///
/// Errors: [`Error::Credentials`] when the value has characters that no header can have.
pub fn set_secret_header(request: &mut reqwest::blocking::Request, name: &'static str, value: &str) -> Result<()> {
    let mut value = reqwest::header::HeaderValue::from_str(value).map_err(|_| Error::Credentials {
        message: "the credentials have a character that no HTTP header can have (a line break?)".into(),
    })?;
    value.set_sensitive(true);
    request.headers_mut().insert(name, value);
    Ok(())
}

/// One API at one origin.
pub struct Api {
    provider: String,
    base: Url,
    authorize: Box<dyn Authorize>,
    /// What the address follows from, for the message when there is no such host.
    address: String,
    /// Which setting the credentials are from, for the message when they are refused.
    credentials: String,
    secrets: Vec<Secret>,
    words: fn(u16, &[u8]) -> Words,
    manners: Manners,
}

impl Api {
    /// `base` is the address all paths are relative to, e.g. `https://api.example.com/v2`.
    ///
    /// Errors: [`Error::Credentials`] when it is no HTTP address.
    pub fn new(provider: &str, base: &str, authorize: Box<dyn Authorize>, manners: &Manners) -> Result<Self> {
        let bad =
            |reason: String| Error::Credentials { message: format!("{base:?} is no address of an API: {reason}") };
        let base = Url::parse(&format!("{}/", base.trim_end_matches('/'))).map_err(|error| bad(error.to_string()))?;
        if !matches!(base.scheme(), "https" | "http") || base.host_str().is_none() {
            return Err(bad("it begins with https:// or http://".into()));
        }
        Ok(Api {
            provider: provider.to_owned(),
            base,
            authorize,
            address: "the cloud's own address".to_owned(),
            credentials: String::new(),
            secrets: Vec::new(),
            words: words_of_json,
            manners: manners.clone(),
        })
    }

    /// The API at `endpoint` of the section (or the first of the variables `endpoints`, or `address`), which knows us by the token in
    /// `secret` or `token` (or the first of the variables `tokens`).
    ///
    /// Errors: [`Error::Credentials`] when there is no token, or the address is none.
    pub fn by_token(
        settings: &Settings<'_>,
        tokens: &[&str],
        endpoints: &[&str],
        address: &str,
        manners: &Manners,
    ) -> Result<Self> {
        let token = settings.require(&["secret", "token"], tokens)?;
        let endpoint = settings.find(&["endpoint"], endpoints)?;
        let base = endpoint.as_ref().map_or(address, |endpoint| endpoint.value.expose());
        let api = Api::new(settings.name(), base, Box::new(Bearer(token.value.clone())), manners)?;
        let api = match &endpoint {
            Some(endpoint) => api.with_address_from(&endpoint.from),
            None => api,
        };
        Ok(api.with_credentials(&token.from, &[token.value]))
    }

    /// Says what its address follows from ("endpoint in [provider:x]").
    pub fn with_address_from(mut self, from: &str) -> Self {
        self.address = from.to_owned();
        self
    }

    /// Says where the credentials are from ("secret in [provider:x]"), and what must never be shown.
    pub fn with_credentials(mut self, from: &str, secrets: &[Secret]) -> Self {
        self.credentials = from.to_owned();
        self.secrets = secrets.to_vec();
        self
    }

    /// Reads refusals that are not JSON.
    pub fn with_words(mut self, words: fn(u16, &[u8]) -> Words) -> Self {
        self.words = words;
        self
    }

    pub fn base(&self) -> &Url {
        &self.base
    }

    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The same address as a path below the base, for links the API gives. `None` when it leads to anybody else.
    pub fn own_path(&self, link: &str) -> Option<String> {
        let link = self.base.join(link).ok()?;
        let same = link.origin() == self.base.origin() && link.username().is_empty() && link.password().is_none();
        let path = link.path().strip_prefix(self.base.path())?;
        same.then(|| link.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}")))
    }

    /// The error for an answer to `path` without a field that must be there.
    pub fn lacks(&self, path: &str, field: &str) -> Error {
        let message = format!("the answer to /{path} has no {field:?}: is the endpoint right?");
        Error::Api { provider: self.provider.clone(), message }
    }

    /// The error for a link that leads to anybody else.
    pub fn foreign_link(&self, link: &str) -> Error {
        let link = one_line(link.split('?').next().unwrap_or_default());
        let message =
            format!("a list goes on at {link}, which is not the API's own address: it would be shown the credentials");
        Error::Api { provider: self.provider.clone(), message }
    }

    /// Sends a request until it is answered or patience ends, and gives the answer when it is a success (2xx).
    ///
    /// Errors: [`Error::Refused`] with the API's words, [`Error::NoAnswer`] when there was none (its `in_doubt` says whether the
    /// request may have been carried out), [`Error::Api`] for an answer that cannot be one, and what the authorisation fails with.
    pub fn send(&self, request: &Request) -> Result<Answer> {
        let (mut attempts, mut waited, mut renewed) = (0, Duration::ZERO, false);
        loop {
            attempts += 1;
            let (failed, error) = match self.send_once(request)? {
                Ok(answer) if (200..300).contains(&answer.status) => return Ok(answer),
                Ok(answer) if (300..400).contains(&answer.status) => return Err(self.redirected(request, &answer)),
                Ok(answer) => {
                    let refusal = self.refusal(request, &answer);
                    if refusal.reason == Reason::Credentials && !renewed && self.authorize.renew() {
                        renewed = true;
                        attempts -= 1;
                        continue;
                    }
                    (how_failed(&refusal, &answer), Error::Refused(Box::new(refusal)))
                }
                Err(broken) => {
                    let failed = if broken.unsent { Failed::Unsent } else { Failed::InDoubt };
                    (failed, self.no_answer(request, broken))
                }
            };
            let next = self.manners.patience.next(failed, request.repeat, attempts, waited, fastrand::f64());
            let Some(pause) = next else { return Err(error) };
            tracing::debug!("{error}; again in {:.1} s", pause.as_secs_f64());
            std::thread::sleep(pause);
            waited += pause;
        }
    }

    /// The answer to a request as JSON.
    pub fn json(&self, request: &Request) -> Result<serde_json::Value> {
        self.send(request)?.json()
    }

    fn send_once(&self, request: &Request) -> Result<std::result::Result<Answer, Broken>> {
        let client = client::client(&self.provider)?;
        let mut wire = request.build(client, &self.base, self.manners.timeout)?;
        self.authorize.authorize(&mut wire)?;
        let copy = self.manners.trace.as_ref().and_then(|_| wire.try_clone());
        let start = Instant::now();
        let outcome = self.exchange(client, wire, request);
        let took = start.elapsed().as_millis();
        match &outcome {
            Ok(answer) => tracing::debug!("{} {}: {} after {took} ms", self.provider, request.title(), answer.status),
            Err(broken) => tracing::debug!("{} {}: {}", self.provider, request.title(), broken.reason),
        }
        if let (Some(trace), Some(request)) = (&self.manners.trace, &copy) {
            trace.write(&trace::Exchange {
                provider: &self.provider,
                request,
                milliseconds: took,
                answer: match &outcome {
                    Ok(answer) => Ok((answer.status, &answer.headers, &answer.body)),
                    Err(broken) => Err(&broken.reason),
                },
                secrets: &self.secrets,
            });
        }
        Ok(outcome)
    }

    fn exchange(
        &self,
        client: &Client,
        wire: reqwest::blocking::Request,
        request: &Request,
    ) -> std::result::Result<Answer, Broken> {
        let response = client.execute(wire).map_err(|error| Broken::from(&error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        let read = response.take(LARGEST + 1).read_to_end(&mut body);
        let broken = |reason: String| Broken { unsent: false, no_such_host: false, reason };
        read.map_err(|error| broken(format!("the answer broke off after {} bytes: {error}", body.len())))?;
        if body.len() as u64 > LARGEST {
            return Err(broken(format!("the answer has more than {} MB", LARGEST >> 20)));
        }
        Ok(Answer { provider: self.provider.clone(), request: request.title(), status, headers, body })
    }

    fn refusal(&self, request: &Request, answer: &Answer) -> Refusal {
        let Words { reason, code, message } = (self.words)(answer.status, &answer.body);
        let message = self.secrets.iter().fold(message, |message, secret| match secret.expose() {
            "" => message,
            secret => message.replace(secret, "***"),
        });
        Refusal {
            provider: self.provider.clone(),
            request: request.title(),
            status: answer.status,
            reason,
            code,
            message,
            credentials: self.credentials.clone(),
        }
    }

    fn redirected(&self, request: &Request, answer: &Answer) -> Error {
        let to = answer.header("location").unwrap_or("an unknown address");
        Error::Api {
            provider: self.provider.clone(),
            message: format!(
                "{} is redirected to {}, which would be shown the credentials: is the endpoint right?",
                request.title(),
                one_line(to.split('?').next().unwrap_or_default())
            ),
        }
    }

    fn no_answer(&self, request: &Request, broken: Broken) -> Error {
        if broken.no_such_host {
            return Error::NoSuchHost {
                provider: self.provider.clone(),
                host: self.base.host_str().unwrap_or_default().to_owned(),
                from: self.address.clone(),
                message: broken.reason,
            };
        }
        Error::NoAnswer {
            provider: self.provider.clone(),
            origin: self.base.origin().ascii_serialization(),
            request: request.title(),
            message: broken.reason,
            in_doubt: !broken.unsent,
        }
    }
}

fn how_failed(refusal: &Refusal, answer: &Answer) -> Failed {
    let retry_after = answer.header("retry-after").and_then(|value| retry::retry_after(value, SystemTime::now()));
    match refusal.reason {
        Reason::Busy => Failed::Busy,
        Reason::Throttled => Failed::Throttled { retry_after },
        Reason::Trouble => Failed::Trouble { retry_after },
        _ => Failed::Final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_nobody_knows_is_said_with_the_setting() {
        let patience = Patience { attempts: 1, ..Patience::default() };
        let manners = Manners { patience, ..Manners::default() };
        let api = Api::new("c", "http://no-such-host.invalid/v1", Box::new(Anonymous), &manners).unwrap();
        let api = api.with_address_from("`endpoint` in [provider:c]");
        let error = api.send(&Request::post("orders")).unwrap_err();
        let told = "c: `endpoint` in [provider:c] leads to no-such-host.invalid, which is not found: ";
        assert!(error.to_string().starts_with(told) && !error.leaves_doubt(), "{error}");
        assert!(!error.to_string().contains("lookup"), "{error}");
    }
}
