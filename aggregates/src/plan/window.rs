//! When a counter starts again at zero.

use chrono::{Datelike, Days, Months, NaiveTime};

use super::limit::Window;
use crate::facts::Period;
use crate::time::Timestamp;

/// Months looked at around an instant to find the window it lies in.
const MONTHS_AROUND: i32 = 2;

/// The end of the window that holds `now`; none for a counter that never starts again, or whose period is unknown.
///
/// A monthly window starts on the day and time of `anchor` in every month, on the month's last day where the month is
/// shorter; the day of the anchor itself is kept for the months after it. A day is a UTC day.
#[must_use]
pub fn window_end(window: Window, anchor: Timestamp, period: Option<Period>, now: Timestamp) -> Option<Timestamp> {
    match window {
        Window::Lifetime => None,
        Window::BillingPeriod => period.map(|period| period.end).filter(|end| *end > now),
        Window::Day => {
            let tomorrow = now.to_chrono().date_naive().checked_add_days(Days::new(1))?;
            Some(Timestamp::from_chrono(tomorrow.and_time(NaiveTime::MIN).and_utc()))
        }
        Window::Month => {
            let start = anchor.to_chrono();
            let at = now.to_chrono();
            let between = (at.year() - start.year()) * 12 + i32::try_from(at.month0()).ok()?
                - i32::try_from(start.month0()).ok()?;
            let candidates = between - MONTHS_AROUND..=between + MONTHS_AROUND;
            let nth = |months: i32| {
                let step = Months::new(months.unsigned_abs());
                let moved = if months < 0 {
                    start.checked_sub_months(step)
                } else {
                    start.checked_add_months(step)
                };
                moved.map(Timestamp::from_chrono)
            };
            candidates.filter_map(nth).find(|end| *end > now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn month(anchor: &str, now: &str) -> String {
        window_end(Window::Month, at(anchor), None, at(now))
            .unwrap()
            .to_string()
    }

    #[test]
    fn a_month_starts_on_the_anchors_day_and_short_months_keep_it() {
        assert_eq!(
            month("2026-01-31T10:00:00Z", "2026-02-01T00:00:00Z"),
            "2026-02-28T10:00:00Z"
        );
        assert_eq!(
            month("2026-01-31T10:00:00Z", "2026-02-28T10:00:00Z"),
            "2026-03-31T10:00:00Z"
        );
        assert_eq!(
            month("2024-01-31T00:00:00Z", "2024-02-15T00:00:00Z"),
            "2024-02-29T00:00:00Z"
        );
        assert_eq!(
            month("2026-01-15T00:00:00Z", "2026-01-15T00:00:00Z"),
            "2026-02-15T00:00:00Z"
        );
        assert_eq!(
            month("2026-12-15T00:00:00Z", "2027-01-14T23:59:59Z"),
            "2027-01-15T00:00:00Z"
        );
        assert_eq!(
            month("2027-05-20T00:00:00Z", "2026-05-19T00:00:00Z"),
            "2026-05-20T00:00:00Z",
            "before the anchor"
        );
    }

    #[test]
    fn days_end_at_midnight_and_lifetimes_never() {
        let now = at("2026-12-31T23:59:59Z");
        assert_eq!(
            window_end(Window::Day, now, None, now),
            Some(at("2027-01-01T00:00:00Z"))
        );
        assert_eq!(window_end(Window::Lifetime, now, None, now), None);
        let period = Period {
            start: at("2026-12-01T00:00:00Z"),
            end: at("2027-01-01T00:00:00Z"),
        };
        assert_eq!(
            window_end(Window::BillingPeriod, now, Some(period), now),
            Some(period.end)
        );
        assert_eq!(window_end(Window::BillingPeriod, now, None, now), None);
    }
}
