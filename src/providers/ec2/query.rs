//! One call of a query API: a form in a POST, signed, and XML as the answer.

use std::time::SystemTime;

use reqwest::Url;
use reqwest::blocking::Request as Wire;
use serde_json::Value;

use super::credentials::Keys;
use super::form::{self, Parameters};
use super::{signature, xml};
use crate::providers::http::{Api, Authorize, Pages, Request, set_secret_header};
use crate::providers::{Error, Result};
use crate::times;

/// The version of the API that is spoken.
const VERSION: &str = "2016-11-15";
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// A call and its parameters.
#[derive(Debug, Clone)]
pub struct Call {
    action: &'static str,
    parameters: Parameters,
    filters: usize,
}

impl Call {
    pub fn new(action: &'static str) -> Self {
        Call { action, parameters: Vec::new(), filters: 0 }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.parameters.push((name.to_owned(), value.into()));
        self
    }

    /// `Name.1`, `Name.2`, ...
    pub fn list(self, name: &str, values: &[&str]) -> Self {
        values.iter().zip(1..).fold(self, |call, (value, number)| call.with(&format!("{name}.{number}"), *value))
    }

    /// Only what has one of these values (with `*` and `?`).
    pub fn filter(mut self, name: &str, values: &[&str]) -> Self {
        self.filters += 1;
        let filter = format!("Filter.{}", self.filters);
        self.with(&format!("{filter}.Name"), name).list(&format!("{filter}.Value"), values)
    }

    fn request(&self) -> Request {
        let own = [("Action", self.action), ("Version", VERSION)];
        let mut parameters: Parameters = own.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        parameters.extend(self.parameters.iter().cloned());
        Request::post("").text(form::encode(&parameters), FORM).called(self.action)
    }
}

/// A query API.
pub struct Query(pub Api);

impl Query {
    /// A call that only reads, or that comes to the same when it is sent twice.
    pub fn read(&self, call: &Call) -> Result<Value> {
        self.answer(call, call.request().repeatable())
    }

    /// A call that must not be sent twice.
    pub fn order(&self, call: &Call) -> Result<Value> {
        self.answer(call, call.request())
    }

    /// All items of a set, page by page.
    pub fn list(&self, call: &Call, set: &'static str) -> Result<Vec<Value>> {
        let mut pages = Pages::of(self.0.provider(), set);
        let mut items = Vec::new();
        let mut next = call.clone();
        loop {
            let mut answer = self.read(&next)?;
            if let Some(Value::Array(page)) = answer.get_mut(set).map(Value::take) {
                items.extend(page);
            }
            let Some(token) = answer["nextToken"].as_str().filter(|token| !token.is_empty()) else { return Ok(items) };
            pages.turn(token)?;
            next = call.clone().with("NextToken", token);
        }
    }

    fn answer(&self, call: &Call, request: Request) -> Result<Value> {
        let answer = self.0.send(&request)?;
        let (root, value) =
            xml::read(&answer.body).map_err(|why| answer.nonsense(&format!("that is no XML of this API: it {why}")))?;
        // Eucalyptus says `ResponseType` now and then.
        if !root.strip_prefix(call.action).is_some_and(|rest| rest.starts_with("Response")) {
            return Err(answer.nonsense(&format!("that begins with <{root}>: is the endpoint right?")));
        }
        Ok(value)
    }
}

/// Signs with version 4: a header.
pub struct Version4 {
    pub keys: Keys,
    pub region: String,
}

impl Authorize for Version4 {
    fn authorize(&self, request: &mut Wire) -> Result<()> {
        let time = times::short(SystemTime::now());
        let host = host(request.url());
        let query: Parameters = request.url().query_pairs().map(|(key, value)| (key.into(), value.into())).collect();
        let mut headers = vec![("content-type", FORM), ("host", host.as_str()), ("x-amz-date", time.as_str())];
        if let Some(token) = &self.keys.token {
            headers.push(("x-amz-security-token", token.expose()));
        }
        let authorization = signature::version_4(
            &signature::Signed {
                method: request.method().as_str(),
                path: request.url().path(),
                query: &query,
                headers: &headers,
                body: body(request),
            },
            &signature::Scope { region: &self.region, service: "ec2", time: &time },
            &self.keys.access_key,
            self.keys.secret.expose(),
        );
        set_secret_header(request, "x-amz-date", &time)?;
        if let Some(token) = &self.keys.token {
            set_secret_header(request, "x-amz-security-token", token.expose())?;
        }
        set_secret_header(request, "authorization", &authorization)
    }
}

/// Signs with version 2: parameters of the form.
pub struct Version2(pub Keys);

impl Authorize for Version2 {
    fn authorize(&self, request: &mut Wire) -> Result<()> {
        let mut parameters = form::decode(&String::from_utf8_lossy(body(request)));
        for (key, value) in [
            ("AWSAccessKeyId", self.0.access_key.clone()),
            ("SignatureMethod", "HmacSHA256".into()),
            ("SignatureVersion", "2".into()),
            ("Timestamp", times::long(SystemTime::now())),
        ] {
            parameters.push((key.to_owned(), value));
        }
        if let Some(token) = &self.0.token {
            parameters.push(("SecurityToken".to_owned(), token.expose().to_owned()));
        }
        let (url, secret) = (request.url(), self.0.secret.expose());
        let signature = signature::version_2(request.method().as_str(), &host(url), url.path(), &parameters, secret);
        parameters.push(("Signature".to_owned(), signature));
        let signed = form::encode(&parameters);
        request.headers_mut().remove(reqwest::header::CONTENT_LENGTH);
        *request.body_mut() = Some(signed.into());
        Ok(())
    }
}

fn body(request: &Wire) -> &[u8] {
    request.body().and_then(reqwest::blocking::Body::as_bytes).unwrap_or_default()
}

/// The header `Host`: with the port where it is not the scheme's own.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether an API refused with this word.
pub fn is_refused(error: &Error, code: &str) -> bool {
    matches!(error, Error::Refused(refusal) if refusal.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Secret;

    fn keys() -> Keys {
        Keys {
            access_key: "AKIDEXAMPLE".into(),
            secret: Secret::new("secret"),
            token: Some(Secret::new("a token")),
            from: "a test".into(),
        }
    }

    fn wire(url: &str, text: &str) -> Wire {
        let client = reqwest::blocking::Client::new();
        client.post(url).header("content-type", FORM).body(text.to_owned()).build().unwrap()
    }

    #[test]
    fn parameters_are_numbered() {
        let call = Call::new("X").list("Owner", &["a", "b"]).filter("name", &["c"]).filter("tag:Name", &["d", "e"]);
        let names: Vec<_> = call.parameters.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            names.join("&"),
            "Owner.1=a&Owner.2=b&Filter.1.Name=name&Filter.1.Value.1=c\
             &Filter.2.Name=tag:Name&Filter.2.Value.1=d&Filter.2.Value.2=e"
        );
    }

    #[test]
    fn version_4_is_a_header() {
        let mut request = wire("https://ec2.eu-west-1.amazonaws.com/", "Action=X");
        Version4 { keys: keys(), region: "eu-west-1".into() }.authorize(&mut request).unwrap();
        let header = request.headers()["authorization"].to_str().unwrap();
        assert!(header.contains("/eu-west-1/ec2/aws4_request"), "{header}");
        assert!(header.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token,"), "{header}");
        assert!(request.headers()["authorization"].is_sensitive());
        assert_eq!(request.headers()["x-amz-security-token"], "a token");
    }

    #[test]
    fn version_2_is_in_the_form() {
        let mut request = wire("http://cloud.test:8773/services/Eucalyptus/", "Action=X&A=b+c");
        Version2(keys()).authorize(&mut request).unwrap();
        let parameters = form::decode(std::str::from_utf8(body(&request)).unwrap());
        let (signature, rest) = parameters.split_last().unwrap();
        let expected = signature::version_2("POST", "cloud.test:8773", "/services/Eucalyptus/", rest, "secret");
        assert_eq!(signature, &("Signature".to_owned(), expected));
        assert!(
            rest.contains(&("A".into(), "b c".into())) && rest.contains(&("SecurityToken".into(), "a token".into()))
        );
    }
}
