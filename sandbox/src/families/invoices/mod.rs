//! Invoices: drafts, totals, collection, retries.
//!
//! For other families: [`pay`] with a [`Pay`] pays an invoice; [`draft`], `fill` and `announce` make one; [`finalize`],
//! [`send`], [`void`], [`mark_uncollectible`] and [`delete`] are what the calls are. A payment's result comes back by
//! `Hook::PaymentSettled`, whoever confirmed it, and moves the invoice and its subscription.

mod calls;
mod collect;
mod life;
mod lines;
mod preview;
mod shape;
pub(crate) mod totals;

use serde_json::Value;

use super::{Family, Hook, Route};
use crate::list_params;
use crate::shape::read::text;
use crate::state::store::Kind;

pub use collect::{Pay, method_of, pay};
pub use life::{Draft, delete, draft, finalize, mark_uncollectible, send, void};
pub(super) use life::{announce, announce_now, edit_lines, fill, stop};
pub(super) use lines::{of_invoice_item, of_item, pricing_of, product_name};
pub(super) use preview::upcoming_of;
pub(super) use shape::put_price;

/// `in_..`
pub const INVOICE: Kind = Kind {
    object: "invoice",
    prefix: "in_1",
    random: 23,
    path: "/v1/invoices",
};

macro_rules! fields {
    () => {
        " account_tax_ids[] auto_advance automatic_tax{enabled liability*} automatically_finalizes_at collection_method \
          custom_fields[]{name value} days_until_due default_payment_method default_source default_tax_rates[] description \
          discounts[]{coupon discount promotion_code} due_date effective_at footer issuer* metadata* number on_behalf_of \
          payment_settings{default_mandate payment_method_options* payment_method_types[]} rendering* shipping_details* \
          statement_descriptor expand[] "
    };
}

macro_rules! preview_fields {
    () => {
        " automatic_tax{enabled liability*} coupon currency customer discounts[]{coupon discount promotion_code} \
          invoice_items[]{amount currency description discountable metadata* period{start end} price \
          price_data{currency product tax_behavior unit_amount unit_amount_decimal} quantity unit_amount \
          unit_amount_decimal} preview_mode subscription expand[] "
    };
}

/// Invoices.
pub const FAMILY: Family = Family {
    kinds: &[&INVOICE],
    routes: &[
        Route::post(
            "/v1/invoices",
            concat!(
                fields!(),
                "currency customer pending_invoice_items_behavior subscription"
            ),
            calls::create,
        ),
        Route::get(
            "/v1/invoices",
            concat!(
                "collection_method created?{gt gte lt lte} customer due_date?{gt gte lt lte} status subscription",
                list_params!()
            ),
            calls::index,
        ),
        Route::post(
            "/v1/invoices/create_preview",
            concat!(
                preview_fields!(),
                "subscription_details{billing_cycle_anchor?{type timestamp} cancel_at cancel_at_period_end cancel_now \
                 items[]{id clear_usage deleted discounts[]{coupon discount promotion_code} metadata* plan price \
                 price_data{currency product recurring{interval interval_count} tax_behavior unit_amount \
                 unit_amount_decimal} quantity tax_rates[]} proration_behavior proration_date start_date trial_end}"
            ),
            preview::create_preview,
        ),
        Route::get(
            "/v1/invoices/upcoming",
            concat!(
                preview_fields!(),
                "subscription_items[]{id clear_usage deleted discounts[]{coupon discount promotion_code} metadata* plan \
                 price quantity tax_rates[]} subscription_billing_cycle_anchor subscription_cancel_at \
                 subscription_cancel_at_period_end subscription_cancel_now subscription_proration_behavior \
                 subscription_proration_date subscription_start_date subscription_trial_end"
            ),
            preview::upcoming,
        ),
        Route::get("/v1/invoices/{invoice}", "expand[]", calls::show),
        Route::post("/v1/invoices/{invoice}", fields!(), calls::update),
        Route::delete("/v1/invoices/{invoice}", "", calls::remove),
        Route::post(
            "/v1/invoices/{invoice}/finalize",
            "auto_advance expand[]",
            calls::finalize,
        ),
        Route::post("/v1/invoices/{invoice}/send", "expand[]", calls::send),
        Route::post(
            "/v1/invoices/{invoice}/pay",
            "forgive mandate off_session paid_out_of_band payment_method source expand[]",
            calls::pay,
        ),
        Route::post("/v1/invoices/{invoice}/void", "expand[]", calls::void),
        Route::post(
            "/v1/invoices/{invoice}/mark_uncollectible",
            "expand[]",
            calls::mark_uncollectible,
        ),
        Route::get("/v1/invoices/{invoice}/lines", list_params!(), calls::lines),
    ],
    work: &[
        ("invoice.finalize", life::finalize_due),
        ("invoice.retry", collect::retry),
        ("invoice.overdue", life::overdue),
        ("invoice.will_be_due", life::will_be_due),
    ],
    includes: &[
        ("invoice", "payments", shape::payments_of),
        ("invoice", "payment_intent", shape::intent_of),
        ("invoice", "charge", shape::charge_of),
        ("invoice", "subscription", shape::subscription_of),
        ("invoice", "confirmation_secret", shape::confirmation_of),
    ],
    downgrades: shape::DOWNGRADES,
    hooks: &[Hook::PaymentSettled(collect::payment_settled)],
};

/// The invoice item that a line came from.
pub(super) fn invoice_item_of(line: &Value) -> Option<&str> {
    text(line, "parent.invoice_item_details.invoice_item")
        .or_else(|| text(line, "parent.subscription_item_details.invoice_item"))
}
