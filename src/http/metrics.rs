//! Figures for OpenMetrics, answered on a listener of their own.

use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use projections::runner::Progress;
use projections::views::View;
use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::inbox::receive::ReceiveCounters;

/// Upper ends of the latency buckets, in seconds: around the promised 2 ms and 40 ms.
const LATENCY_SECONDS: [f64; 12] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.1, 0.25, 1.0, 5.0, 30.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ViewLabel {
    view: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// Counters of the HTTP border.
pub struct HttpMetrics {
    registry: Mutex<Registry>,
    classes: [Counter; 5],
    latency: Histogram,
    panics: Counter,
    credentials: Family<ReasonLabel, Counter>,
    signatures: Family<ReasonLabel, Counter>,
    slowed: Counter,
    clock_findings: Counter,
    view_lag: Family<ViewLabel, Gauge>,
    view_age: Family<ViewLabel, Gauge>,
    receipts: Family<OutcomeLabel, Gauge>,
    waiting: Gauge,
    streams: Gauge,
    stream_resets: Counter,
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl Default for HttpMetrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("subledger");
        let requests = Family::<StatusLabel, Counter>::default();
        registry.register("http_requests", "Requests answered, by status class", requests.clone());
        let latency = Histogram::new(LATENCY_SECONDS);
        registry.register("http_request_seconds", "Time from request to answer", latency.clone());
        let panics = Counter::default();
        registry.register(
            "http_panics",
            "Requests that panicked; each is a fault to report",
            panics.clone(),
        );
        let credentials = Family::<ReasonLabel, Counter>::default();
        registry.register("auth_refused", "Credentials refused, by reason", credentials.clone());
        let signatures = Family::<ReasonLabel, Counter>::default();
        registry.register("webhook_refused", "Webhooks refused, by reason", signatures.clone());
        let slowed = Counter::default();
        let help = "Refusals that waited because their address had too many; somebody may be guessing";
        registry.register("refusals_slowed", help, slowed.clone());
        let view_lag = Family::<ViewLabel, Gauge>::default();
        registry.register(
            "view_lag_events",
            "Events that wait for a view, over all parts",
            view_lag.clone(),
        );
        let view_age = Family::<ViewLabel, Gauge>::default();
        let help = "Milliseconds the oldest event has waited for a view; 0 when none does";
        registry.register("view_age_milliseconds", help, view_age.clone());
        let receipts = Family::<OutcomeLabel, Gauge>::default();
        registry.register(
            "webhook_receipts",
            "Deliveries since the start, by outcome of storing them",
            receipts.clone(),
        );
        let waiting = Gauge::default();
        registry.register(
            "webhook_waiting",
            "Deliveries that wait for the store now",
            waiting.clone(),
        );
        let clock_findings = Counter::default();
        let help = "Webhooks signed in the future beyond the tolerance: this machine's clock may be behind";
        registry.register("webhook_clock_findings", help, clock_findings.clone());
        let streams = Gauge::default();
        registry.register("streams_open", "Streams of events that are open now", streams.clone());
        let stream_resets = Counter::default();
        let help = "Times a stream left events out because its reader was too slow";
        registry.register("stream_resets", help, stream_resets.clone());
        Self {
            registry: Mutex::new(registry),
            classes: CLASSES.map(|class| requests.get_or_create(&StatusLabel { class }).clone()),
            latency,
            panics,
            credentials,
            signatures,
            slowed,
            clock_findings,
            view_lag,
            view_age,
            receipts,
            waiting,
            streams,
            stream_resets,
        }
    }
}

impl HttpMetrics {
    /// Lets another part of the service add its figures.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// An answer left.
    pub fn answered(&self, status: u16, took: Duration) {
        if let Some(class) = self.classes.get(usize::from(status / 100).wrapping_sub(1)) {
            class.inc();
        }
        self.latency.observe(took.as_secs_f64());
    }

    /// A request panicked.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// A credential was refused.
    pub fn refused_credential(&self, reason: &str) {
        let label = ReasonLabel {
            reason: reason.to_owned(),
        };
        self.credentials.get_or_create(&label).inc();
    }

    /// A webhook was refused.
    pub fn refused_webhook(&self, reason: &str) {
        let label = ReasonLabel {
            reason: reason.to_owned(),
        };
        self.signatures.get_or_create(&label).inc();
    }

    /// A refusal waited.
    pub fn slowed(&self) {
        self.slowed.inc();
    }

    /// A webhook was signed in our future.
    pub fn clock_behind(&self) {
        self.clock_findings.inc();
    }

    /// So many streams are open now.
    pub fn streams_open(&self, count: usize) {
        self.streams.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A slow reader of a stream was told that events were left out.
    pub fn stream_reset(&self) {
        self.stream_resets.inc();
    }

    /// Takes the figures that others keep, before they are told.
    pub fn sample(&self, progress: &Progress, inbox: &ReceiveCounters, waiting: usize) {
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        for view in View::ALL {
            let label = ViewLabel { view: view.name() };
            self.view_lag.get_or_create(&label).set(whole(progress.lag(view)));
            let age = progress.oldest_wait_micros(view).div_ceil(1_000);
            self.view_age.get_or_create(&label).set(whole(age));
        }
        for (outcome, count) in [
            ("stored", &inbox.stored),
            ("duplicate", &inbox.duplicates),
            ("other_content", &inbox.other_content),
            ("masked", &inbox.masked),
            ("refused", &inbox.refused),
        ] {
            let count = whole(count.load(Ordering::Relaxed));
            self.receipts.get_or_create(&OutcomeLabel { outcome }).set(count);
        }
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// The OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_told() {
        let metrics = HttpMetrics::default();
        metrics.answered(200, Duration::from_millis(1));
        metrics.answered(404, Duration::from_millis(1));
        metrics.answered(777, Duration::ZERO);
        metrics.refused_webhook("no_match");
        let text = metrics.text();
        assert!(
            text.contains("subledger_http_requests_total{class=\"2xx\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("subledger_http_requests_total{class=\"4xx\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("subledger_webhook_refused_total{reason=\"no_match\"} 1"),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"));
    }
}
