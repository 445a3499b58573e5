//! The port without HTTP: the same rules, reached by the calls themselves.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;
use subledger::stripe::gateway::call::{CancelAt, Payment};
use subledger::stripe::gateway::{
    Answer, Call, CallKey, Delay, GatewayError, INTENT_KEY, Listing, Loss, OnAccount, Page, Read, Refusal, RequestHash,
    StripeGateway,
};

use super::mini::{Mini, Reply, Request};
use super::{Effects, Fault};

/// In memory.
#[derive(Clone, Default)]
pub(crate) struct FakeStripe(Arc<Mutex<Mini>>);

impl FakeStripe {
    fn mini(&self) -> MutexGuard<'_, Mini> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes wrong next, after what was ordered before.
    pub(crate) fn fail(&self, fault: Fault) {
        self.mini().faults.push_back(Some(fault));
    }

    pub(crate) fn put(&self, collection: &str, object: Value) {
        self.mini().put(collection, object);
    }

    pub(crate) fn effects(&self) -> Effects {
        self.mini().effects.clone()
    }

    pub(crate) fn keyless(&self) -> u32 {
        self.mini().keyless
    }

    async fn ask(&self, request: Request) -> Result<Answer, GatewayError> {
        let changes = request.method != "GET";
        let mut reply = self.mini().handle(&request);
        if let Reply::Late(millis, inner) = reply {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            reply = *inner;
        }
        match reply {
            Reply::Answer { status, headers, body } => {
                let header = |name: &str| {
                    headers
                        .iter()
                        .find(|(header, _)| *header == name)
                        .map(|(_, value)| value)
                };
                let replayed = header("Idempotent-Replayed").is_some();
                let retry_after = header("Retry-After")
                    .and_then(|text| text.parse().ok())
                    .map(Duration::from_secs);
                meaning(changes, status, body, replayed, retry_after)
            }
            Reply::Cut | Reply::Raw(_) | Reply::Late(..) => {
                Err(lost(changes, None, "the connection was cut", false, None))
            }
        }
    }
}

fn lost(
    changes: bool,
    status: Option<u16>,
    reason: &str,
    replayed: bool,
    retry_after: Option<Duration>,
) -> GatewayError {
    if changes {
        GatewayError::OutcomeUnknown(Box::new(Loss {
            reason: reason.to_owned(),
            status,
            replayed,
            retry_after,
            keep_off: false,
            request_id: None,
        }))
    } else {
        GatewayError::Transient(Delay {
            reason: reason.to_owned(),
            status,
            retry_after,
        })
    }
}

fn meaning(
    changes: bool,
    status: u16,
    body: Vec<u8>,
    replayed: bool,
    retry_after: Option<Duration>,
) -> Result<Answer, GatewayError> {
    let object: Option<Value> = serde_json::from_slice(&body).ok();
    let word = |name: &str| {
        let error = object.as_ref().and_then(|object| object.get("error"));
        error
            .and_then(|error| error.get(name))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let message = word("message").unwrap_or_else(|| String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned());
    match (status, &object) {
        (200..=299, Some(object)) => Ok(Answer {
            object: object.clone(),
            body: body.into(),
            status,
            request_id: Some("req_1".to_owned()),
            replayed,
            api_version: Some("2026-09-30.endive".to_owned()),
            stripe_time: None,
        }),
        (200..=299, None) | (500..=599, _) => Err(lost(changes, Some(status), &message, replayed, retry_after)),
        (409 | 424 | 429, _) => Err(GatewayError::Transient(Delay {
            reason: message,
            status: Some(status),
            retry_after,
        })),
        _ => Err(GatewayError::Permanent(Box::new(Refusal {
            status,
            kind: word("type"),
            code: word("code"),
            decline_code: word("decline_code"),
            message,
            param: word("param"),
            request_id: Some("req_1".to_owned()),
        }))),
    }
}

/// Where a call goes and what it carries, in as few words as the rules need.
#[expect(clippy::too_many_lines, reason = "one arm a call")]
fn asked(key: CallKey, call: &Call) -> Request {
    let subscription = |id: &aggregates::ids::SubscriptionId| format!("/subscriptions/{id}");
    let mut form: Vec<(String, String)> = vec![(format!("metadata[{INTENT_KEY}]"), key.intent.to_string())];
    let mut method = "POST";
    let mut with = |name: &str, value: &str| form.push((name.to_owned(), value.to_owned()));
    let path = match call {
        Call::CreateCustomer { tenant, name, email } => {
            for (field, value) in [
                ("name", name.clone()),
                ("email", email.clone()),
                ("metadata[tenant_id]", tenant.as_ref().map(ToString::to_string)),
            ] {
                if let Some(value) = value {
                    with(field, &value);
                }
            }
            "/customers".to_owned()
        }
        Call::UpdateCustomer { customer, .. } => format!("/customers/{customer}"),
        Call::OpenCheckout(checkout) => {
            with("customer", checkout.customer.as_str());
            "/checkout/sessions".to_owned()
        }
        Call::ExpireCheckout { session } => format!("/checkout/sessions/{session}/expire"),
        Call::OpenPortal(portal) => {
            with("customer", portal.customer.as_str());
            "/billing_portal/sessions".to_owned()
        }
        Call::CreateSubscription(new) => {
            with("customer", new.customer.as_str());
            "/subscriptions".to_owned()
        }
        Call::Preview { .. } => "/invoices/create_preview".to_owned(),
        Call::ChangeItems(change) => subscription(&change.subscription),
        Call::ScheduleCancellation {
            subscription: id, at, ..
        } => {
            if *at == CancelAt::PeriodEnd {
                with("cancel_at_period_end", "true");
            }
            subscription(id)
        }
        Call::WithdrawCancellation { subscription: id } => {
            with("cancel_at", "");
            subscription(id)
        }
        Call::CancelNow { subscription: id, .. } => {
            method = "DELETE";
            subscription(id)
        }
        Call::Resume { subscription: id, .. } => format!("{}/resume", subscription(id)),
        Call::Pause { subscription: id } => format!("{}/pause", subscription(id)),
        Call::PauseCollection {
            subscription: id,
            behavior,
            ..
        } => {
            with("pause_collection[behavior]", behavior.as_str());
            subscription(id)
        }
        Call::ResumeCollection { subscription: id } => {
            with("pause_collection", "");
            subscription(id)
        }
        Call::ApplyDiscount { subscription: id, .. }
        | Call::RemoveDiscounts { subscription: id }
        | Call::SetTrialEnd { subscription: id, .. } => subscription(id),
        Call::StartSchedule { subscription: id } => {
            with("from_subscription", id.as_str());
            "/subscription_schedules".to_owned()
        }
        Call::SetPhases { schedule, .. } => format!("/subscription_schedules/{schedule}"),
        Call::ReleaseSchedule { schedule } => format!("/subscription_schedules/{schedule}/release"),
        Call::PayInvoice { invoice, .. } => format!("/invoices/{invoice}/pay"),
        Call::Refund { payment, .. } => {
            match payment {
                Payment::Intent(id) => with("payment_intent", id.as_str()),
                Payment::Charge(id) => with("charge", id.as_str()),
            }
            "/refunds".to_owned()
        }
    };
    // The rest of the call, so that another call under the same key is another request.
    form.push((
        "call".to_owned(),
        serde_json::to_string(call).expect("a call can be written"),
    ));
    Request {
        method: method.to_owned(),
        path,
        query: Vec::new(),
        form,
        key: Some(key.to_string()),
    }
}

#[expect(clippy::too_many_lines, reason = "one arm a list")]
fn question(read: &Read) -> Request {
    let mut query = Vec::new();
    let path = match read {
        Read::Object { kind, id, .. } => {
            let collection = kind.as_str().replace("checkout.session", "checkout/session");
            format!("/{collection}s/{id}")
        }
        Read::List { list, page } => {
            query.push(("limit".to_owned(), "100".to_owned()));
            match page {
                Page::Newest => {}
                Page::After(id) => query.push(("starting_after".to_owned(), id.to_string())),
                Page::Before(id) => query.push(("ending_before".to_owned(), id.to_string())),
            }
            let mut of = |field: &str, value: &str| query.push((field.to_owned(), value.to_owned()));
            let collection = match list {
                Listing::CustomersSince(_) => "customers",
                Listing::Subscriptions(id) => {
                    of("customer", id.as_str());
                    "subscriptions"
                }
                Listing::Items(id) => {
                    of("subscription", id.as_str());
                    "subscription_items"
                }
                Listing::Schedules(id) => {
                    of("customer", id.as_str());
                    "subscription_schedules"
                }
                Listing::CheckoutSessions(id) => {
                    of("customer", id.as_str());
                    "checkout/sessions"
                }
                Listing::Invoices(id) => {
                    of("customer", id.as_str());
                    "invoices"
                }
                Listing::InvoiceLines(id) => {
                    of("invoice", id.as_str());
                    "lines"
                }
                Listing::InvoicePayments(id) => {
                    of("invoice", id.as_str());
                    "invoice_payments"
                }
                Listing::Charges(id) => {
                    of("customer", id.as_str());
                    "charges"
                }
                Listing::PaymentIntents(id) => {
                    of("customer", id.as_str());
                    "payment_intents"
                }
                Listing::Refunds(Payment::Intent(id)) => {
                    of("payment_intent", id.as_str());
                    "refunds"
                }
                Listing::Refunds(Payment::Charge(id)) => {
                    of("charge", id.as_str());
                    "refunds"
                }
                Listing::CreditNotes(id) => {
                    of("customer", id.as_str());
                    "credit_notes"
                }
                Listing::PaymentMethods(id) => {
                    of("customer", id.as_str());
                    "payment_methods"
                }
                Listing::PromotionCodes(_) => "promotion_codes",
                Listing::PayoutTransactions(id) => {
                    of("payout", id.as_str());
                    "balance_transactions"
                }
                Listing::TransactionsSince(_) => "balance_transactions",
                Listing::Events { .. } => "events",
            };
            format!("/{collection}")
        }
    };
    Request {
        method: "GET".to_owned(),
        path,
        query,
        form: Vec::new(),
        key: None,
    }
}

impl StripeGateway for FakeStripe {
    fn call<'a>(
        &'a self,
        _: &'a OnAccount,
        key: CallKey,
        call: &'a Call,
    ) -> BoxFuture<'a, Result<Answer, GatewayError>> {
        Box::pin(self.ask(asked(key, call)))
    }

    fn read<'a>(&'a self, _: &'a OnAccount, read: &'a Read) -> BoxFuture<'a, Result<Answer, GatewayError>> {
        Box::pin(self.ask(question(read)))
    }

    fn hash(&self, key: CallKey, call: &Call) -> RequestHash {
        let digest = subledger::inbox::receipt::sha256(format!("{key} {call:?}").as_bytes());
        RequestHash(digest)
    }
}
