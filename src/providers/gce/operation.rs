//! Operations: what orders are answered with. They say in the end what became of the order.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Gce;
use crate::providers::http::{Reason, Refusal, Request, segment, words_of_json};
use crate::providers::{Error, Result};

/// How long to follow the making of a machine; it takes ten seconds, and a minute when it fails.
const LONGEST_OPERATION: Duration = Duration::from_secs(180);

impl Gce {
    /// Sends an order with its mark, by which Google knows it if it comes again, and gives the operation.
    pub(super) fn order(&self, request: Request, mark: &str) -> Result<Value> {
        let title = request.title();
        let operation = self.api.json(&request.query("requestId", mark).repeatable())?;
        match failure(&operation) {
            Some((status, body)) => Err(self.refused(title, status, &body)),
            None => Ok(operation),
        }
    }

    /// Follows the making of a machine to its end, or as long as that makes sense.
    pub(super) fn follow(&self, zone: &str, operation: &str, title: &str) -> Result<()> {
        let path = self.project_path(&format!("zones/{}/operations/{}", segment(zone), segment(operation)));
        let (start, mut pause) = (Instant::now(), Duration::from_millis(200));
        loop {
            let operation = self.api.json(&Request::get(&path))?;
            if let Some((status, body)) = failure(&operation) {
                return Err(self.refused(title.to_owned(), status, &body));
            }
            if operation["status"] == "DONE" || start.elapsed() > LONGEST_OPERATION {
                return Ok(());
            }
            std::thread::sleep(pause);
            pause = (pause * 3 / 2).min(Duration::from_secs(3));
        }
    }

    /// The error of an operation that failed.
    fn refused(&self, request: String, status: u16, body: &Value) -> Error {
        let words = words_of_json(status, body.to_string().as_bytes());
        Error::Refused(Box::new(Refusal {
            provider: self.name.clone(),
            request,
            status,
            // It has ended, and nothing was made: a zone without room is no trouble of the API.
            reason: if words.reason == Reason::Trouble { Reason::Invalid } else { words.reason },
            code: words.code,
            message: words.message,
            credentials: String::new(),
        }))
    }
}

/// The status of a failed operation, and its errors in the form of a refused request.
fn failure(operation: &Value) -> Option<(u16, Value)> {
    let errors = operation["error"]["errors"].as_array().filter(|errors| !errors.is_empty())?;
    let status = operation["httpErrorStatusCode"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(400);
    let (code, message) = (&errors[0]["code"], &errors[0]["message"]);
    Some((status, json!({"error": {"message": message, "errors": [{"reason": code}]}})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_operation_says_why() {
        let failed = json!({
            "status": "DONE",
            "httpErrorStatusCode": 403,
            "error": {"errors": [{"code": "QUOTA_EXCEEDED", "message": "Quota 'CPUS' exceeded."}]},
        });
        let (status, body) = failure(&failed).unwrap();
        let words = words_of_json(status, body.to_string().as_bytes());
        assert_eq!((words.reason, words.code.as_str()), (Reason::Quota, "QUOTA_EXCEEDED"));
        assert_eq!(failure(&json!({"status": "DONE"})), None);
    }
}
