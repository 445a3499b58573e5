//! Billing periods on the calendar, UTC: an anchor on day 31 falls on the last day of shorter months and comes back.

use chrono::{DateTime, Months};

/// The end of the `count`-th period after an anchor; `interval` is day, week, month or year, times `interval_count`.
///
/// Periods are always counted from the anchor, never from the last period, so that day 31 is not lost in February.
#[must_use]
pub fn period_end(anchor: i64, interval: &str, interval_count: i64, count: i64) -> i64 {
    let steps = interval_count.max(1).saturating_mul(count);
    match interval {
        "day" => anchor.saturating_add(steps.saturating_mul(86_400)),
        "week" => anchor.saturating_add(steps.saturating_mul(7 * 86_400)),
        "year" => months_after(anchor, steps.saturating_mul(12)),
        _ => months_after(anchor, steps),
    }
}

fn months_after(anchor: i64, months: i64) -> i64 {
    let count = Months::new(u32::try_from(months.unsigned_abs()).unwrap_or(u32::MAX));
    let anchor_time = DateTime::from_timestamp(anchor, 0);
    let moved = anchor_time.and_then(|time| {
        if months < 0 {
            time.checked_sub_months(count)
        } else {
            time.checked_add_months(count)
        }
    });
    moved.map_or(anchor, |time| time.timestamp())
}

/// The period around `now`: its start and end, when periods are counted from `anchor`.
#[must_use]
pub fn period_around(anchor: i64, interval: &str, interval_count: i64, now: i64) -> (i64, i64) {
    let length = period_end(0, interval, interval_count, 1).max(1);
    // A little before where it must be, then by steps: months differ in length.
    let mut count = (now - anchor).div_euclid(length) - 1;
    while period_end(anchor, interval, interval_count, count + 1) <= now {
        count += 1;
    }
    while period_end(anchor, interval, interval_count, count) > now {
        count -= 1;
    }
    let end = |count| period_end(anchor, interval, interval_count, count);
    (end(count), end(count + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp()
    }

    #[test]
    fn day_31_is_the_last_day_of_shorter_months_and_comes_back() {
        let anchor = seconds("2026-01-31T10:00:00Z");
        let ends: Vec<i64> = (1..=3).map(|count| period_end(anchor, "month", 1, count)).collect();
        let wanted = ["2026-02-28T10:00:00Z", "2026-03-31T10:00:00Z", "2026-04-30T10:00:00Z"];
        assert_eq!(ends, wanted.map(seconds));
        let leap = seconds("2024-02-29T00:00:00Z");
        assert_eq!(period_end(leap, "year", 1, 1), seconds("2025-02-28T00:00:00Z"));
        assert_eq!(period_end(leap, "year", 1, 4), seconds("2028-02-29T00:00:00Z"));
        assert_eq!(period_end(10, "week", 2, 3), 10 + 6 * 604_800);
    }

    #[test]
    fn the_period_around_a_moment_holds_it() {
        let anchor = seconds("2026-01-31T10:00:00Z");
        for now in [
            "2025-02-01T00:00:00Z",
            "2026-01-31T10:00:00Z",
            "2026-02-28T09:59:59Z",
            "2031-05-31T10:00:00Z",
        ] {
            for interval in ["day", "week", "month", "year"] {
                let (from, to) = period_around(anchor, interval, 1, seconds(now));
                assert!(from <= seconds(now) && seconds(now) < to, "{now} {interval}");
            }
        }
        let (from, to) = period_around(anchor, "month", 1, seconds("2026-02-28T10:00:00Z"));
        assert_eq!(
            (from, to),
            (seconds("2026-02-28T10:00:00Z"), seconds("2026-03-31T10:00:00Z"))
        );
    }
}
