//! Amazon's signatures, versions 4 and 2: what proves who asks, made of a request and a secret. Pure.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::form;

/// What of a request is signed.
pub struct Signed<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a [(String, String)],
    /// In lower case, sorted; `host` and `x-amz-date` are among them.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

/// Where and when a signature of version 4 holds.
pub struct Scope<'a> {
    pub region: &'a str,
    pub service: &'a str,
    /// `20150830T123600Z`
    pub time: &'a str,
}

/// The header `Authorization` of version 4.
pub fn version_4(request: &Signed<'_>, scope: &Scope<'_>, access_key: &str, secret: &str) -> String {
    let names = request.headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let headers: String = request.headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let canonical = [
        request.method,
        request.path,
        &form::canonical(request.query),
        &headers,
        &names,
        &hex::encode(Sha256::digest(request.body)),
    ]
    .join("\n");
    let Scope { region, service, time } = scope;
    let date = time.split('T').next().unwrap_or_default();
    let place = format!("{date}/{region}/{service}/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{place}\n{}", hex::encode(Sha256::digest(canonical)));
    let key = [date, region, service, "aws4_request"]
        .iter()
        .fold(format!("AWS4{secret}").into_bytes(), |key, part| authenticate(&key, part));
    let signature = hex::encode(authenticate(&key, &text));
    format!("AWS4-HMAC-SHA256 Credential={access_key}/{place}, SignedHeaders={names}, Signature={signature}")
}

/// The parameter `Signature` of version 2, of all other parameters. `host` has its port where it is not the scheme's own.
pub fn version_2(method: &str, host: &str, path: &str, parameters: &[(String, String)], secret: &str) -> String {
    let text = format!("{method}\n{}\n{path}\n{}", host.to_lowercase(), form::canonical(parameters));
    STANDARD.encode(authenticate(secret.as_bytes(), &text))
}

fn authenticate(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCESS_KEY: &str = "AKIDEXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const FORM: &str = "application/x-www-form-urlencoded";

    /// One of AWS's published examples, all signed at the same second.
    fn signature(service: &str, method: &str, query: &str, headers: &[(&str, &str)], body: &str) -> String {
        let scope = Scope { region: "us-east-1", service, time: "20150830T123600Z" };
        let query = form::decode(query);
        let signed = Signed { method, path: "/", query: &query, headers, body: body.as_bytes() };
        let header = version_4(&signed, &scope, ACCESS_KEY, SECRET);
        let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let expected = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/{service}/aws4_request, SignedHeaders={names}, Signature="
        );
        header.strip_prefix(&expected).unwrap_or_else(|| panic!("{header}")).to_owned()
    }

    #[test]
    fn the_documentations_example_is_signed_as_it_says() {
        let headers = [
            ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
            ("host", "iam.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
        ];
        assert_eq!(
            signature("iam", "GET", "Action=ListUsers&Version=2010-05-08", &headers, ""),
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
    }

    #[test]
    fn the_published_suite_is_signed_as_it_says() {
        let plain = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];
        let with_type = |kind| [("content-type", kind), plain[0], plain[1]];
        let (form, form_utf8) = (with_type(FORM), with_type("application/x-www-form-urlencoded; charset=utf8"));
        let my_header = [plain[0], ("my-header1", "value1"), plain[1]];
        for (name, method, query, headers, body, expected) in [
            (
                "get-vanilla",
                "GET",
                "",
                &plain[..],
                "",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "get-vanilla-empty-query-key",
                "GET",
                "Param1=value1",
                &plain,
                "",
                "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
            ),
            (
                "get-vanilla-query-order-key-case",
                "GET",
                "Param2=value2&Param1=value1",
                &plain,
                "",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "post-vanilla",
                "POST",
                "",
                &plain,
                "",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "post-header-key-sort",
                "POST",
                "",
                &my_header,
                "",
                "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
            ),
            (
                "post-x-www-form-urlencoded",
                "POST",
                "",
                &form,
                "Param1=value1",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
            (
                "post-x-www-form-urlencoded-parameters",
                "POST",
                "",
                &form_utf8,
                "Param1=value1",
                "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe",
            ),
        ] {
            assert_eq!(signature("service", method, query, headers, body), expected, "{name}");
        }
    }

    #[test]
    fn version_2_is_as_its_documentations_example() {
        let parameters = form::decode(
            "Action=DescribeJobFlows&Version=2009-03-31&AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&SignatureVersion=2\
             &SignatureMethod=HmacSHA256&Timestamp=2011-10-03T15%3A19%3A30",
        );
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        assert_eq!(
            version_2("GET", "elasticmapreduce.amazonaws.com", "/", &parameters, secret),
            "i91nKc4PWAt0JJIdXwz9HxZCJDdiy6cf/Mj6vPxyYIs="
        );
    }
}
