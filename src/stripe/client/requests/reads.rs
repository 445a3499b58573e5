//! Requests that only ask: objects by id, and pages of lists.

use std::collections::BTreeMap;

use aggregates::time::Timestamp;
use stripe_billing::credit_note::ListCreditNote;
use stripe_billing::invoice::ListInvoice;
use stripe_billing::invoice_payment::ListInvoicePayment;
use stripe_billing::subscription::{ListSubscription, ListSubscriptionStatus};
use stripe_billing::subscription_item::ListSubscriptionItem;
use stripe_billing::subscription_schedule::ListSubscriptionSchedule;
use stripe_checkout::checkout_session::ListCheckoutSession;
use stripe_client_core::{RequestBuilder, StripeMethod, StripeRequest};
use stripe_core::balance_transaction::ListBalanceTransaction;
use stripe_core::charge::ListCharge;
use stripe_core::customer::{ListCustomer, ListPaymentMethodsCustomer};
use stripe_core::event::ListEvent;
use stripe_core::payment_intent::ListPaymentIntent;
use stripe_core::refund::ListRefund;
use stripe_product::promotion_code::ListPromotionCode;
use stripe_types::{RangeBoundsTs, RangeQueryTs};

use super::{seconds, segment, word};
use crate::stripe::gateway::call::Payment;
use crate::stripe::gateway::{Listing, ObjectKind, PAGE_MAX, Page};

/// The collection an object lives in.
const fn collection(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Customer => "customers",
        ObjectKind::Subscription => "subscriptions",
        ObjectKind::Schedule => "subscription_schedules",
        ObjectKind::CheckoutSession => "checkout/sessions",
        ObjectKind::Invoice => "invoices",
        ObjectKind::InvoicePayment => "invoice_payments",
        ObjectKind::Charge => "charges",
        ObjectKind::PaymentIntent => "payment_intents",
        ObjectKind::Refund => "refunds",
        ObjectKind::Dispute => "disputes",
        ObjectKind::CreditNote => "credit_notes",
        ObjectKind::Payout => "payouts",
        ObjectKind::BalanceTransaction => "balance_transactions",
        ObjectKind::Product => "products",
        ObjectKind::Price => "prices",
        ObjectKind::Coupon => "coupons",
        ObjectKind::PromotionCode => "promotion_codes",
        ObjectKind::TaxRate => "tax_rates",
        ObjectKind::PaymentMethod => "payment_methods",
        ObjectKind::Event => "events",
        ObjectKind::TestClock => "test_helpers/test_clocks",
    }
}

/// All objects are asked for alike, so one rule writes all their addresses.
pub(super) fn object(kind: ObjectKind, id: &str, expand: &[&str]) -> RequestBuilder {
    let request = RequestBuilder::new(StripeMethod::Get, format!("/{}/{}", collection(kind), segment(id)));
    if expand.is_empty() {
        request
    } else {
        request.query(&BTreeMap::from([("expand", expand)]))
    }
}

fn since(at: Timestamp) -> RangeQueryTs {
    RangeQueryTs::Bounds(RangeBoundsTs {
        gte: Some(seconds(at)),
        ..RangeBoundsTs::default()
    })
}

/// Every list builder has the same three fields and no trait for them.
macro_rules! paged {
    ($request:expr, $page:expr) => {{
        let request = $request.limit(i64::from(PAGE_MAX));
        match $page {
            Page::Newest => request.build(),
            Page::After(id) => request.starting_after(&**id).build(),
            Page::Before(id) => request.ending_before(&**id).build(),
        }
    }};
}

pub(super) fn list(list: &Listing, page: &Page) -> RequestBuilder {
    match list {
        Listing::CustomersSince(at) => paged!(ListCustomer::new().created(since(*at)), page),
        Listing::Subscriptions(customer) => {
            let request = ListSubscription::new().customer(customer.as_str());
            // Without it Stripe leaves out what has ended.
            paged!(request.status(word::<ListSubscriptionStatus>("all")), page)
        }
        Listing::Items(subscription) => paged!(ListSubscriptionItem::new(subscription.as_str()), page),
        Listing::Schedules(customer) => paged!(ListSubscriptionSchedule::new().customer(customer.as_str()), page),
        Listing::CheckoutSessions(customer) => paged!(ListCheckoutSession::new().customer(customer.as_str()), page),
        Listing::Invoices(customer) => paged!(ListInvoice::new().customer(customer.as_str()), page),
        Listing::InvoiceLines(invoice) => lines(invoice.as_str(), page),
        Listing::InvoicePayments(invoice) => paged!(ListInvoicePayment::new().invoice(invoice.as_str()), page),
        Listing::Charges(customer) => paged!(ListCharge::new().customer(customer.as_str()), page),
        Listing::PaymentIntents(customer) => paged!(ListPaymentIntent::new().customer(customer.as_str()), page),
        Listing::Refunds(Payment::Intent(id)) => paged!(ListRefund::new().payment_intent(id.as_str()), page),
        Listing::Refunds(Payment::Charge(id)) => paged!(ListRefund::new().charge(id.as_str()), page),
        Listing::CreditNotes(customer) => paged!(ListCreditNote::new().customer(customer.as_str()), page),
        Listing::PaymentMethods(customer) => {
            paged!(ListPaymentMethodsCustomer::new(segment(customer.as_str())), page)
        }
        Listing::PromotionCodes(code) => paged!(ListPromotionCode::new().code(&**code), page),
        Listing::PayoutTransactions(payout) => paged!(ListBalanceTransaction::new().payout(payout.as_str()), page),
        Listing::TransactionsSince(at) => paged!(ListBalanceTransaction::new().created(since(*at)), page),
        Listing::Events { types, since: at } => {
            let mut request = ListEvent::new();
            if !types.is_empty() {
                request = request.types(types.clone());
            }
            if let Some(at) = at {
                request = request.created(since(*at));
            }
            paged!(request, page)
        }
    }
}

/// The lines of an invoice, for which async-stripe has a builder only in a feature that brings more.
fn lines(invoice: &str, page: &Page) -> RequestBuilder {
    let limit = PAGE_MAX.to_string();
    let mut query = vec![("limit", limit.as_str())];
    match page {
        Page::Newest => {}
        Page::After(id) => query.push(("starting_after", id)),
        Page::Before(id) => query.push(("ending_before", id)),
    }
    let query: BTreeMap<_, _> = query.into_iter().collect();
    RequestBuilder::new(StripeMethod::Get, format!("/invoices/{}/lines", segment(invoice))).query(&query)
}
