//! Reading the JSON of APIs: leniently, because they add and drop fields.

use std::net::IpAddr;

use serde_json::Value;

/// The text of a field; `None` when it is missing, null, empty or something else.
pub fn text(value: &Value, field: &str) -> Option<String> {
    value.get(field)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A number, or a text that is one (Hetzner's prices).
pub fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).filter(|number: &f64| number.is_finite())
}

/// The IP addresses among texts, in their order; a prefix length (`2001:db8::1/64`) is left off, `0.0.0.0` and `::` are none.
pub fn address_list<'a>(values: impl IntoIterator<Item = &'a Value>) -> Vec<IpAddr> {
    let address = |value: &Value| value.as_str()?.split('/').next()?.parse::<IpAddr>().ok();
    values.into_iter().filter_map(address).filter(|ip| !ip.is_unspecified()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_read_leniently() {
        let value = json!({"a": "x", "b": null, "c": "", "d": 1});
        assert_eq!(text(&value, "a").as_deref(), Some("x"));
        for field in ["b", "c", "d", "e"] {
            assert_eq!(text(&value, field), None);
        }
        assert_eq!((number(&json!("3.5")), number(&json!(2)), number(&json!("x"))), (Some(3.5), Some(2.0), None));
        let ips = [json!("192.0.2.1"), json!("0.0.0.0"), json!("2001:db8::1/64"), json!(null), json!("x")];
        assert_eq!(address_list(&ips), ["192.0.2.1".parse::<IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]);
    }
}
