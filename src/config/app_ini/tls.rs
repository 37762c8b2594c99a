//! `tls` and what belongs to it in app.ini: whether the app's hosts have a certificate, and from whom.

use super::reader::Reader;
use crate::config::paths::{self, Is};
use crate::config::settings::{Certificate, OwnCertificate, Tls};
use crate::config::values::{self, quoted};

const DAY: u32 = 24 * 3600;

impl Reader<'_> {
    pub fn tls(&mut self) -> Option<Tls> {
        let server = self.value("acme_server", None, |text| directory(text).map(Some));
        let hsts = self.value("hsts", None, |text| days(text).map(Some));
        let key = self.value("tls_key", None, |text| key_source(text).map(Some));
        let Some((line, text)) = self.one("tls") else {
            self.without_effect(&["acme_server", "hsts", "tls_key"], "without `tls` the app has no certificate");
            return None;
        };
        if text == "auto" {
            self.without_effect(&["tls_key"], "the node makes the key itself");
            return Some(Tls { kind: Certificate::Auto, server, hsts, own: None });
        }
        self.without_effect(&["acme_server"], "the app brings its certificate");
        let chain = self.checked(line, "tls", self.chain(&text))?;
        self.name_path(line, "tls", &chain);
        if key.is_none() && self.section.entry("tls_key").is_none() {
            self.missing("tls_key", "env:NAME or file:PATH has the key of the certificate, outside of the app");
        }
        Some(Tls { kind: Certificate::Own, server, hsts, own: Some(OwnCertificate { chain, key: key? }) })
    }

    fn without_effect(&mut self, keys: &[&str], why: &str) {
        for key in keys {
            if let Some(entry) = self.section.entry(key) {
                self.warn(entry.line, key, format!("{why}, and this has no effect"));
            }
        }
    }

    /// A file of the app that has a certificate and no key: all of the app goes to the node, and the app may read it.
    fn chain(&self, text: &str) -> Result<String, String> {
        let path = paths::app_path(self.dir, text, Is::File)
            .map_err(|error| format!("{} is neither auto nor a certificate: {error}", quoted(text)))?;
        let pem = std::fs::read_to_string(self.dir.join(&path)).map_err(|error| format!("{path}: {error}"))?;
        if pem.contains("PRIVATE KEY") {
            return Err(format!("{path} has a private key in it: that must not be in the app; see tls_key"));
        }
        if !pem.contains("-----BEGIN CERTIFICATE-----") {
            return Err(format!("{path} is no certificate in PEM"));
        }
        Ok(path)
    }
}

/// Not `command:`, for an app.ini comes with the app: who deploys it need not know what it would run on their machine.
fn key_source(text: &str) -> Result<String, String> {
    match text.split_once(':') {
        Some(("env" | "file", rest)) if !rest.is_empty() => Ok(text.to_owned()),
        _ => Err("it is env:NAME or file:PATH, never the key itself".to_owned()),
    }
}

/// A number of days, in seconds.
fn days(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('d').ok_or_else(|| format!("{} is not a number of days like 180d", quoted(text)))?;
    Ok(values::number(number, 1..=3650)? * DAY)
}

fn directory(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".:_/-[]".contains(c);
    if rest.is_empty() || !rest.chars().all(allowed) {
        return Err(format!("{} is not an address like https://acme.example.com/directory", quoted(text)));
    }
    Ok(text.to_owned())
}
