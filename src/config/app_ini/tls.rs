//! `tls`, `hsts` and `acme_server` of app.ini: whether the app's hosts have a certificate, and from whom.

use super::reader::Reader;
use crate::config::settings::{Certificate, Tls};
use crate::config::values::{self, quoted};

const DAY: u32 = 24 * 3600;

impl Reader<'_> {
    pub fn tls(&mut self) -> Option<Tls> {
        let server = self.value("acme_server", None, |text| directory(text).map(Some));
        let hsts = self.value("hsts", None, |text| days(text).map(Some));
        if let Some((line, text)) = self.one("tls") {
            let kind = self.checked(line, "tls", certificate(&text))?;
            return Some(Tls { kind, server, hsts });
        }
        for key in ["acme_server", "hsts"] {
            if let Some(entry) = self.section.entry(key) {
                self.warn(entry.line, key, "without `tls` the app has no certificate, and this has no effect");
            }
        }
        None
    }
}

fn certificate(text: &str) -> Result<Certificate, String> {
    if text == "auto" {
        return Ok(Certificate::Auto);
    }
    Err(format!("{} is not auto", quoted(text)))
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
