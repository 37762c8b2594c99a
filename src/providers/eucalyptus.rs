//! Eucalyptus: EC2's API on a cloud of one's own, at an address of its own, with signatures of version 2.

use super::credentials::Found;
use super::ec2::{Address, Dialect, Ec2, Keys, Version2};
use super::http::Manners;
use super::{Capabilities, Error, Result, Settings};

/// The driver's word in `provider = `.
pub const NAME: &str = "eucalyptus";

const PORT: u16 = 8773;
const PATH: &str = "/services/Eucalyptus";

/// Keys: `username` and `secret`; `host`, `port` (8773), `path` (`/services/Eucalyptus`; newer ones have `/services/compute`) and
/// `secure` (`true`); or `endpoint`, which is all four.
pub fn open(settings: &Settings<'_>, manners: &Manners) -> Result<Ec2> {
    let keys = super::ec2::keys_of_section(settings)?.map_or_else(|| keys_of_environment(settings), Ok)?;
    let address = address(settings)?;
    let signer = Box::new(Version2(keys.clone()));
    Ec2::speaking(Dialect::Eucalyptus, settings, &address, signer, &keys, "eucalyptus".into(), manners)
}

/// The variables that its `eucarc` sets.
fn keys_of_environment(settings: &Settings<'_>) -> Result<Keys> {
    let access_key = settings.require(&["username"], &["EC2_ACCESS_KEY", "AWS_ACCESS_KEY"])?;
    let secret = settings.require(&["secret"], &["EC2_SECRET_KEY", "AWS_SECRET_KEY"])?;
    Ok(Keys { access_key: access_key.value.expose().to_owned(), secret: secret.value, token: None, from: secret.from })
}

fn address(settings: &Settings<'_>) -> Result<Address> {
    let section = settings.name();
    let bad = |message: String| Error::Credentials { message: format!("[provider:{section}]: {message}") };
    let whole = |found: Found| Address { base: found.value.expose().to_owned(), from: found.from };
    if let Some(endpoint) = settings.find(&["endpoint"], &[])? {
        return Ok(whole(endpoint));
    }
    let Some(Found { value: host, from }) = settings.find(&["host"], &[])? else {
        let url = settings.find(&[], &["EC2_URL"])?.map(whole);
        return url.ok_or_else(|| bad("there is no `host`: where the cloud is, e.g. cloud.example.com".into()));
    };
    let host = host.expose();
    let scheme = match settings.text(&["secure"], &[])?.unwrap_or_default().to_lowercase().as_str() {
        "" | "true" | "yes" | "on" | "1" => "https",
        "false" | "no" | "off" | "0" => "http",
        other => return Err(bad(format!("`secure` is {other:?}, and not true or false"))),
    };
    let port: u16 = match settings.text(&["port"], &[])? {
        Some(text) => text.trim().parse().map_err(|_| bad(format!("`port` is {text:?}, and not a port")))?,
        None => PORT,
    };
    let path = settings.text(&["path"], &[])?.unwrap_or_else(|| PATH.into());
    if host.contains(['/', '@', '?', '#']) {
        return Err(bad(format!("`host` is {host:?}, and not the name of a host")));
    }
    Ok(Address { base: format!("{scheme}://{host}:{port}/{}", path.trim_start_matches('/')), from })
}

/// What the driver can.
pub(super) const CAPABILITIES: Capabilities = Capabilities { prices: false, ..super::ec2::CAPABILITIES };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ProviderConfig;

    fn address_of(keys: &[(&str, &str)]) -> std::result::Result<String, String> {
        let rest = keys.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let section = ProviderConfig { name: "e".into(), provider: NAME.into(), rest, ..ProviderConfig::default() };
        let found = address(&Settings { section: &section, ask: &|_| None });
        found.map(|address| address.base).map_err(|error| error.to_string())
    }

    #[test]
    fn the_address_is_made_of_its_parts() {
        let host = ("host", "eucalyptus.ecc.eucalyptus.com");
        assert_eq!(address_of(&[host]).unwrap(), "https://eucalyptus.ecc.eucalyptus.com:8773/services/Eucalyptus");
        let all = [host, ("secure", "False"), ("port", "80"), ("path", "services/compute")];
        assert_eq!(address_of(&all).unwrap(), "http://eucalyptus.ecc.eucalyptus.com:80/services/compute");
        assert!(address_of(&[]).unwrap_err().starts_with("[provider:e]: there is no `host`"));
        assert!(address_of(&[host, ("port", "x")]).unwrap_err().contains("`port` is \"x\""));
        assert!(address_of(&[host, ("secure", "x")]).unwrap_err().contains("`secure` is \"x\""));
        assert!(address_of(&[("host", "http://a/b")]).unwrap_err().contains("not the name of a host"));
    }
}
