//! What Amazon's query APIs say when they refuse.

use super::xml;
use crate::providers::http::{Reason, Words, one_line};
use crate::providers::json::text;

/// Reads `<Response><Errors><Error><Code/><Message/>...`, whatever is around the innermost element.
pub fn words(status: u16, body: &[u8]) -> Words {
    let told = xml::read(body).ok().and_then(|(_, answer)| {
        let error = answer.get("Errors").unwrap_or(&answer).get("Error")?;
        // Several are an array; the first is what it failed of.
        let error = error.get(0).unwrap_or(error);
        Some((text(error, "Code")?, text(error, "Message").unwrap_or_default()))
    });
    let Some((code, message)) = told else {
        let message = format!("the API answers {status}");
        return Words { reason: Reason::of_status(status), code: String::new(), message };
    };
    // What follows is only for Amazon itself to read.
    let message = message.split("Encoded authorization failure message").next().unwrap_or_default();
    Words { reason: reason(status, &code), message: one_line(message), code }
}

fn reason(status: u16, code: &str) -> Reason {
    match code {
        "AuthFailure"
        | "ExpiredToken"
        | "IncompleteSignature"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidSecurity"
        | "MissingAuthenticationToken"
        | "RequestExpired"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => Reason::Credentials,
        "AccessDenied"
        | "AccessDeniedException"
        | "Blocked"
        | "OptInRequired"
        | "PendingVerification"
        | "UnauthorizedOperation" => Reason::Forbidden,
        "EC2ThrottledException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequestsException" => Reason::Throttled,
        // The API's own fault by its status, but the answer would be the same again.
        "InsufficientInstanceCapacity" | "InsufficientHostCapacity" | "Unsupported" => Reason::Conflict,
        "IdempotentParameterMismatch" | "IncorrectInstanceState" | "IncorrectState" => Reason::Conflict,
        _ if code.ends_with(".NotFound") || code.ends_with(".Malformed") => Reason::NotFound,
        _ if code.ends_with(".Duplicate") || code.ends_with(".InUse") => Reason::Conflict,
        _ if code.ends_with("LimitExceeded") => Reason::Quota,
        _ => Reason::of_status(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_understood() {
        for root in
            ["<Response><Errors>#</Errors><RequestID>1</RequestID></Response>", "<ErrorResponse>#</ErrorResponse>"]
        {
            let error = "<Error><Code>UnauthorizedOperation</Code><Message>You are not\n authorized. Encoded authorization failure message: x</Message></Error>";
            let words = words(403, root.replace('#', error).as_bytes());
            let expected = Words {
                reason: Reason::Forbidden,
                code: "UnauthorizedOperation".into(),
                message: "You are not authorized.".into(),
            };
            assert_eq!(words, expected);
        }
        for nonsense in ["", "{}", "<html>", "<Response><Errors/></Response>"] {
            assert_eq!(words(502, nonsense.as_bytes()).message, "the API answers 502");
        }
    }

    #[test]
    fn the_code_says_more_than_the_status() {
        for (status, code, expected) in [
            (503, "RequestLimitExceeded", Reason::Throttled),
            (400, "InstanceLimitExceeded", Reason::Quota),
            (400, "VcpuLimitExceeded", Reason::Quota),
            (500, "InsufficientInstanceCapacity", Reason::Conflict),
            (400, "InvalidInstanceID.NotFound", Reason::NotFound),
            (400, "InvalidInstanceID.Malformed", Reason::NotFound),
            (400, "InvalidKeyPair.Duplicate", Reason::Conflict),
            (400, "ExpiredToken", Reason::Credentials),
            (401, "AuthFailure", Reason::Credentials),
            (403, "AccessDenied", Reason::Forbidden),
            (400, "InvalidParameterValue", Reason::Invalid),
            (500, "InternalError", Reason::Trouble),
        ] {
            assert_eq!(reason(status, code), expected, "{code}");
        }
    }
}
