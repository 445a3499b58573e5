//! From what the ledger asks to method, path and form, by the request builders of async-stripe.
//!
//! The form is put in order, because the builders keep metadata in hash maps: the same call is the same bytes, today
//! and after a restart.

mod account;
mod invoice;
mod reads;
mod subscription;

use std::collections::HashMap;
use std::convert::Infallible;
use std::str::FromStr;

use aggregates::ids::TenantId;
use aggregates::time::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::digest::{Context, SHA256};
use stripe_client_core::{RequestBuilder, StripeMethod};

use crate::stripe::gateway::{Call, INTENT_KEY, IntentId, Read, RequestHash, TENANT_KEY};

/// What must not stand in a path as it is: everything but letters, digits, `-`, `_` and `~`. The dot is among it, so
/// that no id can be a step up.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

/// A request, ready to be sent any number of times.
pub(super) struct Prepared {
    method: StripeMethod,
    path: String,
    query: Option<String>,
    body: Option<String>,
}

impl Prepared {
    fn of(request: RequestBuilder) -> Self {
        Self {
            method: request.method,
            path: request.path,
            query: request.query.filter(|query| !query.is_empty()),
            body: request.body.map(|form| in_order(&form)),
        }
    }

    /// A field that the builders cannot leave empty: Stripe clears what is sent empty.
    fn clearing(mut self, field: &str) -> Self {
        let form = self.body.take().unwrap_or_default();
        let form = if form.is_empty() {
            format!("{field}=")
        } else {
            format!("{form}&{field}=")
        };
        self.body = Some(in_order(&form));
        self
    }

    pub(super) fn of_read(read: &Read) -> Self {
        Self::of(match read {
            Read::Object { kind, id, expand } => reads::object(*kind, id, expand),
            Read::List { list, page } => reads::list(list, page),
        })
    }

    pub(super) fn of_call(intent: IntentId, call: &Call) -> Self {
        match call {
            Call::CreateCustomer { tenant, name, email } => account::create(intent, tenant.as_ref(), name, email),
            Call::UpdateCustomer {
                customer,
                name,
                email,
                default_payment_method,
            } => account::update(intent, customer, name, email, default_payment_method.as_ref()),
            Call::OpenCheckout(checkout) => account::checkout(intent, checkout),
            Call::ExpireCheckout { session } => account::expire_checkout(session),
            Call::OpenPortal(portal) => account::portal(portal),
            Call::CreateSubscription(new) => subscription::create(intent, new),
            Call::ChangeItems(change) => subscription::change_items(intent, change),
            Call::Preview { customer, change } => invoice::preview(customer, change),
            Call::ScheduleCancellation {
                subscription,
                at,
                because,
            } => subscription::cancel_later(intent, subscription, *at, because),
            Call::WithdrawCancellation { subscription } => subscription::withdraw_cancellation(intent, subscription),
            Call::CancelNow {
                subscription,
                invoice_now,
                prorate,
                because,
            } => subscription::cancel_now(subscription, *invoice_now, *prorate, because),
            Call::Resume {
                subscription,
                proration,
            } => subscription::resume(subscription, *proration),
            Call::Pause { subscription } => subscription::pause(subscription),
            Call::PauseCollection {
                subscription,
                behavior,
                resumes_at,
            } => subscription::pause_collection(intent, subscription, *behavior, *resumes_at),
            Call::ResumeCollection { subscription } => subscription::resume_collection(intent, subscription),
            Call::ApplyDiscount {
                subscription,
                stays,
                discount,
            } => subscription::apply_discount(intent, subscription, stays, discount),
            Call::RemoveDiscounts { subscription } => subscription::remove_discounts(intent, subscription),
            Call::SetTrialEnd { subscription, end } => subscription::set_trial_end(intent, subscription, *end),
            Call::StartSchedule { subscription } => subscription::start_schedule(subscription),
            Call::SetPhases {
                schedule,
                phases,
                proration,
            } => subscription::set_phases(intent, schedule, phases, *proration),
            Call::ReleaseSchedule { schedule } => subscription::release_schedule(schedule),
            Call::PayInvoice {
                invoice,
                payment_method,
            } => invoice::pay(invoice, payment_method.as_ref()),
            Call::Refund {
                payment,
                amount,
                because,
            } => invoice::refund(intent, payment, *amount, *because),
        }
    }

    /// SHA-256 over method, path and form.
    pub(super) fn hash(&self) -> RequestHash {
        let mut context = Context::new(&SHA256);
        let method = match self.method {
            StripeMethod::Get => "GET",
            StripeMethod::Post => "POST",
            StripeMethod::Delete => "DELETE",
        };
        for part in [method, &self.path, self.body.as_deref().unwrap_or_default()] {
            context.update(part.as_bytes());
            context.update(b"\n");
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        RequestHash(hash)
    }

    pub(super) const fn method(&self) -> StripeMethod {
        self.method
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    pub(super) fn body(&self) -> Option<&str> {
        self.body.as_deref()
    }

    /// The same for the stock client.
    pub(super) fn builder(&self) -> RequestBuilder {
        RequestBuilder {
            query: self.query.clone(),
            body: self.body.clone(),
            path: self.path.clone(),
            method: self.method,
        }
    }
}

/// The pairs of a form by name; pairs of one name keep their order.
fn in_order(form: &str) -> String {
    let mut pairs: Vec<&str> = form.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_by_key(|pair| pair.split('=').next());
    pairs.join("&")
}

/// An id as one segment of a path, whatever it holds.
fn segment(id: &str) -> String {
    utf8_percent_encode(id, SEGMENT).to_string()
}

/// The intent, where Stripe keeps it.
fn metadata(intent: IntentId) -> HashMap<String, String> {
    HashMap::from([(INTENT_KEY.to_owned(), intent.to_string())])
}

/// The intent and the tenant.
fn metadata_of(intent: IntentId, tenant: Option<&TenantId>) -> HashMap<String, String> {
    let mut all = metadata(intent);
    all.extend(tenant.map(|tenant| (TENANT_KEY.to_owned(), tenant.to_string())));
    all
}

/// One of Stripe's words. The builders' enums take any text.
fn word<T: FromStr<Err = Infallible>>(text: &str) -> T {
    match text.parse() {
        Ok(word) => word,
        Err(never) => match never {},
    }
}

/// A time as Stripe writes it.
const fn seconds(at: Timestamp) -> i64 {
    at.seconds()
}
