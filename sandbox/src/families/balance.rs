//! The account's balance: what every charge, refund, dispute and payout moves, and what it adds up to.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Family, Route};
use crate::list_params;
use crate::shape::list::list;
use crate::shape::read::{number, text};
use crate::shape::render::Downgrade;
use crate::state::State;
use crate::state::store::Kind;
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;

/// `txn_..`
pub const TRANSACTION: Kind = Kind {
    object: "balance_transaction",
    prefix: "txn_1",
    random: 23,
    path: "/v1/balance_transactions",
};

/// The balance.
pub const FAMILY: Family = Family {
    kinds: &[&TRANSACTION],
    routes: &[
        Route::get("/v1/balance", "expand[]", show_balance),
        Route::get("/v1/balance_transactions/{id}", "expand[]", show),
        Route::get(
            "/v1/balance_transactions",
            concat!("payout type source currency created?{gt gte lt lte}", list_params!()),
            index,
        ),
    ],
    work: &[("balance.available", become_available)],
    downgrades: &[Downgrade {
        before: "2025-09-30",
        object: "balance_transaction",
        apply: |_, transaction| {
            transaction.remove("balance_type");
        },
    }],
    ..Family::EMPTY
};

/// A movement of the balance.
#[derive(Clone, Debug)]
pub struct Movement<'a> {
    /// Stripe's type: `charge`, `payment`, `refund`, `adjustment`, `payout`.
    pub kind: &'a str,
    /// Stripe's category of reports: `charge`, `refund`, `dispute`, `dispute_reversal`, `payout`.
    pub category: &'a str,
    /// What comes in; negative goes out.
    pub amount: i64,
    /// What Stripe takes of it.
    pub fee: i64,
    /// Of all of it.
    pub currency: &'a str,
    /// Id of what caused it.
    pub source: &'a str,
    /// For people.
    pub description: Option<&'a str>,
    /// Seconds until it can be paid out.
    pub wait: i64,
    /// Whose clock it lives on.
    pub customer: Option<&'a str>,
}

/// Moves the balance; answers the transaction.
pub fn post(state: &mut State, movement: &Movement<'_>) -> Value {
    let now = state.now_for(movement.customer);
    let pending = movement.wait > 0;
    let fees = json!([{
        "amount": movement.fee, "application": null, "currency": movement.currency,
        "description": "Stripe processing fees", "type": "stripe_fee",
    }]);
    let transaction = json!({
        "id": state.new_id(&TRANSACTION),
        "object": "balance_transaction",
        "amount": movement.amount,
        "available_on": now + movement.wait,
        "balance_type": "payments",
        "created": now,
        "currency": movement.currency,
        "description": movement.description,
        "exchange_rate": null,
        "fee": movement.fee,
        "fee_details": if movement.fee == 0 { json!([]) } else { fees },
        "net": movement.amount - movement.fee,
        "reporting_category": movement.category,
        "source": movement.source,
        "status": if pending { "pending" } else { "available" },
        "type": movement.kind,
        "_customer": movement.customer,
        "_payout": null,
    });
    state.put(&TRANSACTION, transaction.clone());
    if pending {
        let clock = state.clock_of(&json!({"customer": movement.customer}));
        let id = text(&transaction, "id").unwrap_or_default();
        state
            .due
            .schedule(clock.as_deref(), now + movement.wait, "balance.available", id);
    } else if movement.amount > 0 {
        let balance = balance(state);
        state.emit("balance.available", &balance);
    }
    transaction
}

fn become_available(state: &mut State, id: &str) -> Result<(), ApiError> {
    state.change(&TRANSACTION, id, "", |transaction| {
        transaction["status"] = json!("available");
        Ok(())
    })?;
    let balance = balance(state);
    state.emit("balance.available", &balance);
    Ok(())
}

/// What the transactions add up to, by currency and status.
#[must_use]
pub fn balance(state: &State) -> Value {
    let mut sums: BTreeMap<String, [i64; 2]> = BTreeMap::new();
    for transaction in state.all(&TRANSACTION) {
        let currency = text(transaction, "currency").unwrap_or_default();
        let place = usize::from(transaction["status"] == "pending");
        let sum = sums.entry(currency.to_owned()).or_default();
        sum[place] = sum[place].saturating_add(number(transaction, "net"));
    }
    if sums.is_empty() {
        sums.insert("usd".to_owned(), [0, 0]);
    }
    let side = |place: usize| -> Vec<Value> {
        let each = |(currency, sum): (&String, &[i64; 2])| json!({"amount": sum[place], "currency": currency, "source_types": {"card": sum[place]}});
        sums.iter().map(each).collect()
    };
    let reserved: Vec<Value> = sums
        .keys()
        .map(|currency| json!({"amount": 0, "currency": currency}))
        .collect();
    json!({
        "object": "balance", "available": side(0), "connect_reserved": reserved, "livemode": false, "pending": side(1),
    })
}

fn show_balance(state: &mut State, _: &Request) -> Outcome {
    Ok(balance(state).into())
}

fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state.get(&TRANSACTION, request.id(), "id")?.clone().into())
}

fn index(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let listed = list(
        state,
        &TRANSACTION,
        &params,
        "/v1/balance_transactions",
        |transaction| {
            let same = |name: &str, field: &str| params.text(name).is_none_or(|wanted| transaction[field] == wanted);
            same("type", "type")
                && same("source", "source")
                && same("currency", "currency")
                && same("payout", "_payout")
        },
    )?;
    Ok(listed.into())
}
