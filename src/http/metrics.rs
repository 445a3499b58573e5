//! Figures for OpenMetrics, answered on a listener of their own.

use std::sync::Mutex;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

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

/// Counters of the HTTP border.
pub struct HttpMetrics {
    registry: Mutex<Registry>,
    classes: [Counter; 5],
    latency: Histogram,
    panics: Counter,
    credentials: Family<ReasonLabel, Counter>,
    signatures: Family<ReasonLabel, Counter>,
    clock_findings: Counter,
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
        let clock_findings = Counter::default();
        let help = "Webhooks signed in the future beyond the tolerance: this machine's clock may be behind";
        registry.register("webhook_clock_findings", help, clock_findings.clone());
        Self {
            registry: Mutex::new(registry),
            classes: CLASSES.map(|class| requests.get_or_create(&StatusLabel { class }).clone()),
            latency,
            panics,
            credentials,
            signatures,
            clock_findings,
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

    /// A webhook was signed in our future.
    pub fn clock_behind(&self) {
        self.clock_findings.inc();
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
