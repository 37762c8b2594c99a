//! The forms of Amazon's query APIs: how parameters are written, in a body and in what is signed.

/// Name and value of each parameter.
pub type Parameters = Vec<(String, String)>;

/// A form as the body of a request. A blank is `+`, and all but letters, digits and `-._~` is `%XX`: this is how servers write a form
/// that they have read, before they check its signature.
pub fn encode(parameters: &[(String, String)]) -> String {
    join(parameters, "+")
}

/// What a form is in a text that is signed: a blank is `%20`.
pub fn canonical(parameters: &[(String, String)]) -> String {
    let mut sorted = parameters.to_vec();
    sorted.sort();
    join(&sorted, "%20")
}

/// Reads a form. What is no parameter is left out.
pub fn decode(body: &str) -> Parameters {
    let pairs = reqwest::Url::parse(&format!("form:?{body}")).ok();
    pairs.iter().flat_map(|url| url.query_pairs()).map(|(key, value)| (key.into(), value.into())).collect()
}

fn join(parameters: &[(String, String)], blank: &str) -> String {
    let pair = |(key, value): &(String, String)| format!("{}={}", escape(key, blank), escape(value, blank));
    parameters.iter().map(pair).collect::<Vec<_>>().join("&")
}

fn escape(text: &str, blank: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => escaped.push_str(blank),
            b'-' | b'.' | b'_' | b'~' => escaped.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn a_form_is_written_as_python_writes_it() {
        let form = parameters(&[("b", "a b*~/+="), ("Filter.1.Name", "tag:Name"), ("ü", "")]);
        assert_eq!(encode(&form), "b=a+b%2A~%2F%2B%3D&Filter.1.Name=tag%3AName&%C3%BC=");
        assert_eq!(canonical(&form), "Filter.1.Name=tag%3AName&b=a%20b%2A~%2F%2B%3D&%C3%BC=");
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(pairs in proptest::collection::vec(("\\PC{0,8}", "\\PC{0,8}"), 0..4)) {
            // An empty pair is nothing but a separator.
            let pairs: Parameters = pairs.into_iter().filter(|(key, _)| !key.is_empty()).collect();
            assert_eq!(decode(&encode(&pairs)), pairs);
        }
    }
}
