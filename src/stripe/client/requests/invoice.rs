//! Requests about invoices and money that goes back.

use aggregates::ids::{CustomerId, InvoiceId, PaymentMethodId};
use aggregates::money::Money;
use stripe_billing::invoice::{
    CreatePreviewInvoice, CreatePreviewInvoiceSubscriptionDetails, CreatePreviewInvoiceSubscriptionDetailsItems,
    PayInvoice,
};
use stripe_client_core::StripeRequest;
use stripe_core::refund::{CreateRefund, CreateRefundReason};

use super::{Prepared, metadata, seconds, segment, word};
use crate::stripe::gateway::IntentId;
use crate::stripe::gateway::call::{ItemChange, ItemsChange, Payment, RefundReason};

/// What a change would cost. The versions before basil have another endpoint; we speak one version.
pub(super) fn preview(customer: &CustomerId, change: &ItemsChange) -> Prepared {
    let items = change.items.iter().map(|item| {
        let mut row = CreatePreviewInvoiceSubscriptionDetailsItems::new();
        match item {
            ItemChange::Add(new) => {
                row.price = Some(new.price.to_string());
                row.quantity = new.quantity;
            }
            ItemChange::Set { item, price, quantity } => {
                row.id = Some(item.to_string());
                row.price = price.as_ref().map(ToString::to_string);
                row.quantity = *quantity;
            }
            ItemChange::Remove { item } => {
                row.id = Some(item.to_string());
                row.deleted = Some(true);
            }
        }
        row
    });
    let mut details = CreatePreviewInvoiceSubscriptionDetails::new();
    details.items = Some(items.collect());
    details.proration_behavior = Some(word(change.proration.as_str()));
    details.proration_date = change.prorate_at.map(seconds);
    let mut request = CreatePreviewInvoice::new()
        .customer(customer.as_str())
        .subscription(change.subscription.as_str());
    if !change.items.is_empty() {
        request = request.subscription_details(details);
    }
    Prepared::of(request.build())
}

pub(super) fn pay(invoice: &InvoiceId, payment_method: Option<&PaymentMethodId>) -> Prepared {
    let mut request = PayInvoice::new(segment(invoice.as_str()));
    if let Some(method) = payment_method {
        request = request.payment_method(method.as_str());
    }
    Prepared::of(request.build())
}

pub(super) fn refund(
    intent: IntentId,
    payment: &Payment,
    amount: Option<Money>,
    because: Option<RefundReason>,
) -> Prepared {
    let mut request = CreateRefund::new().metadata(metadata(intent));
    if let Some(because) = because {
        request = request.reason(word::<CreateRefundReason>(because.as_str()));
    }
    request = match payment {
        Payment::Intent(id) => request.payment_intent(id.as_str()),
        Payment::Charge(id) => request.charge(id.as_str()),
    };
    if let Some(amount) = amount {
        request = request.amount(amount.amount_minor);
    }
    Prepared::of(request.build())
}
