//! Whether a failed request is sent again, and when. Pure.

use std::time::{Duration, SystemTime};

/// What sending a request a second time would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// The same as sending it once: reading, deleting, an order with an idempotency token.
    Harmless,
    /// Perhaps another machine: only after a failure that shows that the first one was not carried out.
    Harmful,
}

/// How a request failed, as far as that decides on another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// It never left: no connection.
    Unsent,
    /// The connection broke, or the answer did not come in time: it may have been carried out.
    InDoubt,
    /// The thing is occupied with an earlier order, and nothing was done.
    Busy,
    /// The API was asked too often, and did nothing.
    Throttled { retry_after: Option<Duration> },
    /// The API is in trouble (5xx): it may have been carried out.
    Trouble { retry_after: Option<Duration> },
    /// The API refused it, and would again.
    Final,
}

/// How long to go on.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// At most so many requests for one answer.
    pub attempts: u32,
    /// The pause before the second one; it doubles each time.
    pub first: Duration,
    /// The longest pause of our own choice.
    pub longest: Duration,
    /// How long all pauses may be together, also those the API asks for.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            attempts: 5,
            first: Duration::from_millis(250),
            longest: Duration::from_secs(8),
            total: Duration::from_secs(60),
        }
    }
}

impl Patience {
    /// The pause before the next request, after `attempts` of them and `waited` in pauses; `None` to give up. `jitter` is from 0 to 1:
    /// clients that were refused together do not come back together.
    pub fn next(
        &self,
        failed: Failed,
        repeat: Repeat,
        attempts: u32,
        waited: Duration,
        jitter: f64,
    ) -> Option<Duration> {
        let wished = match (failed, repeat) {
            (Failed::Final, _) | (Failed::InDoubt, Repeat::Harmful) => return None,
            // A 5xx that names a time was answered by something in front that did not let the request in.
            (Failed::Trouble { retry_after: None }, Repeat::Harmful) => return None,
            (Failed::Unsent | Failed::InDoubt | Failed::Busy, _) => None,
            (Failed::Throttled { retry_after } | Failed::Trouble { retry_after }, _) => retry_after,
        };
        // An earlier order takes its time, however often one asks; only `total` ends that.
        if attempts >= self.attempts && failed != Failed::Busy {
            return None;
        }
        let own = self.first.saturating_mul(1 << (attempts - 1).min(16)).min(self.longest);
        let pause = match wished {
            Some(wished) => wished + self.first.mul_f64(jitter),
            None => own.mul_f64(0.5 + jitter),
        };
        (waited + pause <= self.total).then_some(pause)
    }
}

/// What `Retry-After` asks for: seconds, or a date.
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(value.trim()).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn next(failed: Failed, repeat: Repeat) -> Option<Duration> {
        Patience::default().next(failed, repeat, 1, Duration::ZERO, 0.5)
    }

    #[test]
    fn only_what_is_harmless_is_repeated_in_doubt() {
        for failed in [Failed::InDoubt, Failed::Trouble { retry_after: None }] {
            assert!(next(failed, Repeat::Harmless).is_some(), "{failed:?}");
            assert_eq!(next(failed, Repeat::Harmful), None, "{failed:?}");
        }
        for failed in [
            Failed::Unsent,
            Failed::Busy,
            Failed::Throttled { retry_after: None },
            Failed::Throttled { retry_after: Some(SECOND) },
            Failed::Trouble { retry_after: Some(SECOND) },
        ] {
            assert!(next(failed, Repeat::Harmful).is_some(), "{failed:?}");
        }
        assert_eq!(next(Failed::Final, Repeat::Harmless), None);
    }

    #[test]
    fn the_wish_of_the_api_is_followed_within_bounds() {
        let pause = next(Failed::Throttled { retry_after: Some(7 * SECOND) }, Repeat::Harmful).unwrap();
        assert!(pause >= 7 * SECOND && pause < 8 * SECOND);
        assert_eq!(next(Failed::Throttled { retry_after: Some(61 * SECOND) }, Repeat::Harmless), None);
        let late = Patience::default().next(
            Failed::Throttled { retry_after: Some(7 * SECOND) },
            Repeat::Harmless,
            2,
            55 * SECOND,
            0.0,
        );
        assert_eq!(late, None);
    }

    #[test]
    fn pauses_double_and_end() {
        let patience = Patience::default();
        let pause = |attempts| patience.next(Failed::Unsent, Repeat::Harmless, attempts, Duration::ZERO, 0.5);
        assert_eq!(pause(1), Some(Duration::from_millis(250)));
        assert_eq!(pause(4), Some(SECOND * 2));
        assert_eq!(pause(5), None);
        let busy = |waited| patience.next(Failed::Busy, Repeat::Harmful, 9, waited, 0.5);
        assert_eq!((busy(SECOND * 30), busy(SECOND * 55)), (Some(SECOND * 8), None));
        let jittered = |jitter| patience.next(Failed::Unsent, Repeat::Harmless, 1, Duration::ZERO, jitter);
        assert!(jittered(0.0) < jittered(1.0));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(retry_after("3", now), Some(3 * SECOND));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:40 GMT", now), Some(3 * SECOND));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:00 GMT", now), Some(Duration::ZERO));
        for nonsense in ["", "soon", "-1", "1e400", "NaN"] {
            assert_eq!(retry_after(nonsense, now), None, "{nonsense}");
        }
    }
}
