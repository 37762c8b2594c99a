//! The catalogue of a cloud: which service answers where. Pure.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::error::{Error, Result};
use super::super::json::text;

/// One service at one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// `compute`, `image`.
    pub kind: String,
    pub name: String,
    /// `public`, `internal`, `admin`.
    pub interface: String,
    pub region: String,
    pub url: String,
}

/// The endpoints of an Identity v3 catalogue (`token.catalog`).
pub fn of_v3(catalog: &Value) -> Vec<Endpoint> {
    flatten(catalog, |service, endpoint| {
        Some(Endpoint {
            kind: text(service, "type")?,
            name: text(service, "name").unwrap_or_default(),
            interface: text(endpoint, "interface")?,
            region: text(endpoint, "region_id").or_else(|| text(endpoint, "region")).unwrap_or_default(),
            url: text(endpoint, "url")?,
        })
    })
}

/// The endpoints of an Identity v2 catalogue (`access.serviceCatalog`).
pub fn of_v2(catalog: &Value) -> Vec<Endpoint> {
    flatten(catalog, |service, endpoint| {
        Some(Endpoint {
            kind: text(service, "type")?,
            name: text(service, "name").unwrap_or_default(),
            interface: "public".into(),
            region: text(endpoint, "region").unwrap_or_default(),
            url: text(endpoint, "publicURL")?,
        })
    })
}

fn flatten(catalog: &Value, read: impl Fn(&Value, &Value) -> Option<Endpoint>) -> Vec<Endpoint> {
    let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let of_service = |service: Value| -> Vec<Endpoint> {
        items(&service["endpoints"]).iter().filter_map(|endpoint| read(&service, endpoint)).collect()
    };
    items(catalog).into_iter().flat_map(of_service).collect()
}

/// Which region to take, and which setting says so.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    pub region: Option<&'a str>,
    /// "`region` in [provider:x]"
    pub from: &'a str,
}

/// The endpoint in the wished region, or in the only one. `service` is for the message; `endpoints` are those of it, of one
/// interface.
///
/// Errors: [`Error::Credentials`], with the regions there are, when the wish cannot be met or one is needed.
pub fn choose<'a>(provider: &str, service: &str, endpoints: &'a [Endpoint], wish: Wish<'_>) -> Result<&'a Endpoint> {
    let mut regions: Vec<&str> = endpoints.iter().map(|endpoint| endpoint.region.as_str()).collect();
    regions.sort_unstable();
    regions.dedup();
    let all = regions.join(", ");
    let refuse = |message: String| Err(Error::Credentials { message });
    if endpoints.is_empty() {
        return refuse(format!("the catalogue of {provider} has no {service} service for this account"));
    }
    match wish.region {
        Some(wanted) => match endpoints.iter().find(|endpoint| endpoint.region.eq_ignore_ascii_case(wanted)) {
            Some(endpoint) => Ok(endpoint),
            None => refuse(format!("{provider} has no region {wanted:?} (from {}); it has {all}", wish.from)),
        },
        None if regions.len() == 1 => Ok(&endpoints[0]),
        None => refuse(format!("{provider} has several regions, and `region` does not say which: {all}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn catalog() -> Vec<Endpoint> {
        of_v3(&json!([
            {"type": "compute", "name": "nova", "endpoints": [
                {"interface": "public", "region_id": "A", "url": "http://a/v2.1"},
                {"interface": "public", "region": "B", "url": "http://b/v2.1"},
                {"interface": "public", "region_id": "C", "url": null},
            ]},
            {"type": "broken"},
            null,
        ]))
    }

    fn region(wanted: Option<&str>, endpoints: &[Endpoint]) -> std::result::Result<String, String> {
        let wish = Wish { region: wanted, from: "`region` in [provider:c]" };
        choose("c", "compute", endpoints, wish).map(|found| found.url.clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_wished_region_is_taken() {
        let endpoints = catalog();
        assert_eq!(endpoints.len(), 2);
        assert_eq!(region(Some("b"), &endpoints).unwrap(), "http://b/v2.1");
        assert_eq!(region(None, &endpoints[..1]).unwrap(), "http://a/v2.1");
    }

    #[test]
    fn what_cannot_be_chosen_is_said() {
        let endpoints = catalog();
        assert_eq!(
            region(Some("X"), &endpoints).unwrap_err(),
            r#"c has no region "X" (from `region` in [provider:c]); it has A, B"#
        );
        assert_eq!(
            region(None, &endpoints).unwrap_err(),
            "c has several regions, and `region` does not say which: A, B"
        );
        assert_eq!(region(None, &[]).unwrap_err(), "the catalogue of c has no compute service for this account");
    }

    #[test]
    fn both_forms_of_a_catalogue_are_read() {
        let old = of_v2(&json!([{"type": "compute", "name": "cloudServersOpenStack",
            "endpoints": [{"region": "DFW", "publicURL": "http://dfw/v2/1"}]}]));
        let expected = Endpoint {
            kind: "compute".into(),
            name: "cloudServersOpenStack".into(),
            interface: "public".into(),
            region: "DFW".into(),
            url: "http://dfw/v2/1".into(),
        };
        assert_eq!(old, [expected]);
    }
}
