//! The account itself.

use serde_json::{Value, json};

use super::{Family, Hook, Route};
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;

/// `acct_..`; there is one.
pub const ACCOUNT: Kind = Kind {
    object: "account",
    prefix: "acct_1",
    random: 15,
    path: "/v1/accounts",
};

/// The account.
pub const FAMILY: Family = Family {
    kinds: &[&ACCOUNT],
    routes: &[
        Route::get("/v1/account", "expand[]", show_own),
        Route::get("/v1/accounts/{account}", "expand[]", show),
    ],
    hooks: &[Hook::SetUp(set_up)],
    ..Family::EMPTY
};

fn set_up(state: &mut State) {
    let id = state.new_id(&ACCOUNT);
    let address =
        json!({"city": null, "country": "US", "line1": null, "line2": null, "postal_code": null, "state": null});
    let requirements = json!({
        "alternatives": [], "current_deadline": null, "currently_due": [], "disabled_reason": null, "errors": [],
        "eventually_due": [], "past_due": [], "pending_verification": [],
    });
    let account = json!({
        "id": id,
        "object": "account",
        "business_profile": {
            "annual_revenue": null, "estimated_worker_count": null, "mcc": "5734",
            "minority_owned_business_designation": null, "name": "Sandbox", "product_description": null,
            "support_address": address, "support_email": null, "support_phone": null, "support_url": null, "url": null,
        },
        "business_type": "company",
        "capabilities": {"card_payments": "active", "sepa_debit_payments": "active", "transfers": "active"},
        "charges_enabled": true,
        "controller": {"type": "account"},
        "country": "US",
        "created": state.now(),
        "default_currency": "usd",
        "details_submitted": true,
        "email": "sandbox@example.com",
        "external_accounts": {
            "object": "list", "data": [], "has_more": false, "url": format!("/v1/accounts/{id}/external_accounts"),
        },
        "future_requirements": requirements,
        "metadata": {},
        "payouts_enabled": true,
        "requirements": requirements,
        "settings": settings(),
        "tos_acceptance": {"date": null, "ip": null, "user_agent": null},
        "type": "standard",
    });
    state.put(&ACCOUNT, account);
}

fn settings() -> Value {
    json!({
        "bacs_debit_payments": {"display_name": null, "service_user_number": null},
        "branding": {"icon": null, "logo": null, "primary_color": null, "secondary_color": null},
        "card_issuing": {"tos_acceptance": {"date": null, "ip": null}},
        "card_payments": {
            "decline_on": {"avs_failure": false, "cvc_failure": false}, "statement_descriptor_prefix": null,
            "statement_descriptor_prefix_kana": null, "statement_descriptor_prefix_kanji": null,
        },
        "dashboard": {"display_name": "Sandbox", "timezone": "Etc/UTC"},
        "invoices": {"default_account_tax_ids": null, "hosted_payment_method_save": "offer"},
        "payments": {
            "statement_descriptor": "SANDBOX", "statement_descriptor_kana": null, "statement_descriptor_kanji": null,
            "statement_descriptor_prefix_kana": null, "statement_descriptor_prefix_kanji": null,
        },
        "payouts": {
            "debit_negative_balances": true, "schedule": {"delay_days": 2, "interval": "daily"},
            "statement_descriptor": null,
        },
        "sepa_debit_payments": {},
    })
}

/// The account's id.
#[must_use]
pub fn id(state: &State) -> String {
    let account = state.all(&ACCOUNT).next();
    let id = account.and_then(|account| account["id"].as_str());
    id.unwrap_or_default().to_owned()
}

fn show_own(state: &mut State, _: &Request) -> Outcome {
    let id = id(state);
    Ok(state.get(&ACCOUNT, &id, "account")?.clone().into())
}

fn show(state: &mut State, request: &Request) -> Outcome {
    let denied = || {
        let message = format!("The provided key does not have access to account '{}'.", request.id());
        ApiError::other(403, "invalid_request_error", message).code("account_invalid")
    };
    Ok(state.look(&ACCOUNT, request.id()).ok_or_else(denied)?.clone().into())
}
