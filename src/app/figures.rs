//! Figures of the receiver, the worker, the views and the log, read when the metrics page is asked for.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use projections::db::Db;
use projections::runner::Progress;
use projections::views::View;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::stripe::Asking;
use crate::inbox::Receiver;
use crate::process::apply_webhooks::Gauges;
use crate::process::stripe_calls::CallCounters;
use crate::process::stripe_reads::ReadCounters;
use crate::stripe::client::StripeClient;

/// Reads everything that is counted elsewhere.
pub(super) struct Figures {
    pub(super) db: Db,
    pub(super) receiver: Receiver,
    pub(super) worker: Option<Gauges>,
    pub(super) stripe: Option<StripeFigures>,
    pub(super) progress: Progress,
}

/// What asking Stripe counts.
pub(super) struct StripeFigures {
    client: Arc<StripeClient>,
    reads: Arc<ReadCounters>,
    calls: Arc<CallCounters>,
}

impl StripeFigures {
    pub(super) fn of(asking: &Asking) -> Self {
        Self {
            client: Arc::clone(&asking.client),
            reads: asking.reads.counters(),
            calls: asking.calls.counters(),
        }
    }
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, all: &[(&[(&str, &str)], u64)]) -> fmt::Result {
    let kind = ConstCounter::new(0_u64);
    let mut family = encoder.encode_descriptor(name, help, None, kind.metric_type())?;
    for (labels, value) in all {
        ConstCounter::new(*value).encode(family.encode_family(labels)?)?;
    }
    Ok(())
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, all: &[(&[(&str, &str)], u64)]) -> fmt::Result {
    let kind = ConstGauge::new(0_i64);
    let mut family = encoder.encode_descriptor(name, help, None, kind.metric_type())?;
    for (labels, value) in all {
        ConstGauge::new(i64::try_from(*value).unwrap_or(i64::MAX)).encode(family.encode_family(labels)?)?;
    }
    Ok(())
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.receiver(&mut encoder)?;
        self.worker(&mut encoder)?;
        self.views(&mut encoder)?;
        self.requests(&mut encoder)?;
        self.reads(&mut encoder)?;
        self.calls(&mut encoder)?;
        let heads = (0..self.db.parts()).map(|part| self.progress.head(part)).sum();
        counter(
            &mut encoder,
            "log_events",
            "Events on the log, over all partitions",
            &[(&[], heads)],
        )
    }
}

impl Figures {
    fn receiver(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let counters = self.receiver.counters();
        let read = |value: &std::sync::atomic::AtomicU64| value.load(Ordering::Relaxed);
        let received = [
            (&[("result", "stored")][..], read(&counters.stored)),
            (&[("result", "duplicate")][..], read(&counters.duplicates)),
            (&[("result", "other_content")][..], read(&counters.other_content)),
            (&[("result", "refused")][..], read(&counters.refused)),
        ];
        counter(
            encoder,
            "webhooks",
            "Signed deliveries, by what became of them",
            &received,
        )?;
        let masked = read(&counters.masked);
        counter(
            encoder,
            "webhooks_masked",
            "Deliveries stored without a card number they held",
            &[(&[], masked)],
        )?;
        let batches = read(&counters.batches);
        counter(
            encoder,
            "webhook_batches",
            "Transactions that stored deliveries",
            &[(&[], batches)],
        )?;
        let waiting = u64::try_from(self.receiver.waiting()).unwrap_or(u64::MAX);
        gauge(
            encoder,
            "webhooks_waiting",
            "Deliveries that wait for the store",
            &[(&[], waiting)],
        )
    }

    fn worker(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(worker) = &self.worker else { return Ok(()) };
        let outcomes = worker.outcomes().all();
        let labels: Vec<_> = outcomes
            .iter()
            .map(|((state, kind), count)| ([("state", state.as_str()), ("type", kind.as_str())], *count))
            .collect();
        let rows: Vec<(&[(&str, &str)], u64)> = labels.iter().map(|(labels, count)| (&labels[..], *count)).collect();
        counter(
            encoder,
            "receipts_settled",
            "Receipts with an outcome, by state and Stripe event type",
            &rows,
        )?;
        let working = u64::try_from(worker.working()).unwrap_or(u64::MAX);
        gauge(
            encoder,
            "receipts_in_lanes",
            "Receipts being worked on",
            &[(&[], working)],
        )?;
        let counters = worker.findings().counters();
        let read = |value: &std::sync::atomic::AtomicU64| value.load(Ordering::Relaxed);
        let found = [
            (&[("kind", "link")][..], read(&counters.link)),
            (&[("kind", "mode")][..], read(&counters.mode)),
            (&[("kind", "extraction")][..], read(&counters.extraction)),
        ];
        counter(
            encoder,
            "findings",
            "Contradictions met while applying webhooks",
            &found,
        )
    }

    fn views(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let labels = View::ALL.map(|view| (view, [("view", view.name())]));
        let rows = |read: fn(&Progress, View) -> u64| -> Vec<(&[(&str, &str)], u64)> {
            labels
                .iter()
                .map(|(view, label)| (&label[..], read(&self.progress, *view)))
                .collect()
        };
        gauge(
            encoder,
            "view_lag_events",
            "Events a view has not read yet",
            &rows(Progress::lag),
        )?;
        let oldest = |progress: &Progress, view| progress.oldest_wait_micros(view).div_ceil(1_000_000);
        gauge(
            encoder,
            "view_age_seconds",
            "Age of the first event a view has not read, rounded up",
            &rows(oldest),
        )
    }

    fn requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(stripe) = &self.stripe else { return Ok(()) };
        let counters = stripe.client.counters();
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let requests = [
            (&[("outcome", "answered")][..], read(&counters.answered)),
            (&[("outcome", "delayed")][..], read(&counters.transient)),
            (&[("outcome", "refused")][..], read(&counters.refused)),
            (&[("outcome", "unknown")][..], read(&counters.unknown)),
        ];
        counter(
            encoder,
            "stripe_requests",
            "Requests to Stripe, by what became of them",
            &requests,
        )?;
        counter(
            encoder,
            "stripe_replays",
            "Answers Stripe had stored under the same key",
            &[(&[], read(&counters.replayed))],
        )?;
        gauge(
            encoder,
            "stripe_clock_skew_seconds",
            "How far this clock was from Stripe's at the last answer",
            &[(&[], read(&counters.skew_seconds))],
        )
    }

    fn calls(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(stripe) = &self.stripe else { return Ok(()) };
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let calls = &stripe.calls;
        let commands = [
            (&[("outcome", "applied")][..], read(&calls.applied)),
            (&[("outcome", "unneeded")][..], read(&calls.unneeded)),
            (&[("outcome", "rejected")][..], read(&calls.rejected)),
            (&[("outcome", "given_up")][..], read(&calls.given_up)),
        ];
        counter(
            encoder,
            "commands",
            "Commands carried out at Stripe, by their end",
            &commands,
        )?;
        counter(
            encoder,
            "commands_put_off",
            "Turns of commands that wait for Stripe or for an earlier command",
            &[(&[], read(&calls.delayed))],
        )?;
        gauge(
            encoder,
            "commands_waiting",
            "Commands that wait for Stripe",
            &[(&[], read(&calls.waiting))],
        )?;
        let oldest = u64::try_from(calls.oldest_due.load(Ordering::Relaxed)).unwrap_or(0);
        gauge(
            encoder,
            "commands_oldest_due_seconds",
            "When the command that waits longest is or was due, as seconds since 1970; 0 when none waits",
            &[(&[], oldest)],
        )
    }

    fn reads(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(stripe) = &self.stripe else { return Ok(()) };
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let reads = &stripe.reads;
        let questions = [
            (&[("result", "answered")][..], read(&reads.answered)),
            (&[("result", "shared")][..], read(&reads.shared)),
            (&[("result", "delayed")][..], read(&reads.delayed)),
            (&[("result", "refused")][..], read(&reads.refused)),
        ];
        counter(
            encoder,
            "stripe_questions",
            "Questions of the outbox, by what became of them",
            &questions,
        )?;
        gauge(
            encoder,
            "stripe_questions_waiting",
            "Questions that wait for Stripe",
            &[(&[], read(&reads.waiting))],
        )?;
        let events = [
            (
                &[("found", "known")][..],
                read(&reads.events_seen).saturating_sub(read(&reads.events_missing)),
            ),
            (&[("found", "missing")][..], read(&reads.events_missing)),
        ];
        counter(
            encoder,
            "stripe_events_listed",
            "Events read in Stripe's list, by whether a webhook had brought them",
            &events,
        )?;
        let until = u64::try_from(reads.read_until.load(Ordering::Relaxed)).unwrap_or(0);
        gauge(
            encoder,
            "stripe_events_read_until_seconds",
            "Until when Stripe's list of events is read, as seconds since 1970",
            &[(&[], until)],
        )
    }
}
