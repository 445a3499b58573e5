//! Test clocks: customers on one live in its time, which moves when it is advanced.

use serde_json::{Value, json};

use super::customers::{self, CUSTOMER};
use super::{Family, Route};
use crate::list_params;
use crate::shape::calendar::period_end;
use crate::shape::list::list;
use crate::shape::read::{items, number, text};
use crate::state::store::Kind;
use crate::state::{After, State};
use crate::wire::call::{Outcome, Request};
use crate::wire::error::ApiError;

/// `clock_..`
pub const TEST_CLOCK: Kind = Kind {
    object: "test_helpers.test_clock",
    prefix: "clock_1",
    random: 23,
    path: "/v1/test_helpers/test_clocks",
};

/// A clock is deleted after 30 days of the machine's time.
const LIFE_SECONDS: i64 = 30 * 86_400;

/// Test clocks.
pub const FAMILY: Family = Family {
    kinds: &[&TEST_CLOCK],
    routes: &[
        Route::post("/v1/test_helpers/test_clocks", "frozen_time name expand[]", create),
        Route::get("/v1/test_helpers/test_clocks", list_params!(), index),
        Route::get("/v1/test_helpers/test_clocks/{clock}", "expand[]", show),
        Route::delete("/v1/test_helpers/test_clocks/{clock}", "", delete),
        Route::post(
            "/v1/test_helpers/test_clocks/{clock}/advance",
            "frozen_time expand[]",
            advance,
        ),
    ],
    work: &[("test_clock.delete", expire)],
    ..Family::EMPTY
};

fn create(state: &mut State, request: &Request) -> Outcome {
    let params = request.params();
    let frozen_time = params.required_integer("frozen_time")?;
    let created = state.now();
    let clock = json!({
        "id": state.new_id(&TEST_CLOCK),
        "object": "test_helpers.test_clock",
        "created": created,
        "deletes_after": created + LIFE_SECONDS,
        "frozen_time": frozen_time,
        "livemode": false,
        "name": params.text("name"),
        "status": "ready",
        "status_details": {},
    });
    state.schedule(&clock, created + LIFE_SECONDS, "test_clock.delete");
    Ok(state
        .create(&TEST_CLOCK, clock, "test_helpers.test_clock.created")
        .into())
}

fn show(state: &mut State, request: &Request) -> Outcome {
    Ok(state.get(&TEST_CLOCK, request.id(), "test_clock")?.clone().into())
}

fn index(state: &mut State, request: &Request) -> Outcome {
    let listed = list(
        state,
        &TEST_CLOCK,
        &request.params(),
        "/v1/test_helpers/test_clocks",
        |_| true,
    )?;
    Ok(listed.into())
}

fn advance(state: &mut State, request: &Request) -> Outcome {
    let to = request.params().required_integer("frozen_time")?;
    let clock = state.get(&TEST_CLOCK, request.id(), "test_clock")?.clone();
    let now = number(&clock, "frozen_time");
    if clock["status"] != "ready" {
        let message = "The test clock is still advancing; wait until its status is ready.";
        return Err(ApiError::state("test_clock_advancing", message));
    }
    if to <= now {
        let message = "The new frozen time must be after the clock's current frozen time.";
        return Err(ApiError::bad_param("frozen_time", message));
    }
    if let Some(most) = furthest(state, request.id(), now)
        && to > most
    {
        let message = format!(
            "A test clock can be advanced by two intervals of its shortest subscription at a time, here to {most}."
        );
        return Err(ApiError::bad_param("frozen_time", message));
    }
    let id = request.id().to_owned();
    let event = "test_helpers.test_clock.advancing";
    let advancing = state.change(&TEST_CLOCK, &id, event, |clock| {
        clock["status"] = json!("advancing");
        clock["status_details"] = json!({"advancing": {"target_frozen_time": to}});
        Ok(())
    })?;
    state.after(After::Advance(id, to));
    Ok(advancing.into())
}

/// Two intervals of the shortest price of any subscription on the clock.
fn furthest(state: &State, clock: &str, now: i64) -> Option<i64> {
    let on_clock = |subscription: &&Value| text(subscription, "test_clock") == Some(clock);
    let ended = |subscription: &&Value| matches!(text(subscription, "status"), Some("canceled" | "incomplete_expired"));
    let subscriptions = state.objects.newest("subscription").filter(on_clock);
    let prices = subscriptions
        .filter(|subscription| !ended(subscription))
        .flat_map(|subscription| items(subscription, "items"))
        .map(|item| &item["price"]["recurring"]);
    let two = prices.map(|recurring| {
        let interval = text(recurring, "interval").unwrap_or("month");
        period_end(now, interval, number(recurring, "interval_count"), 2)
    });
    two.min()
}

fn delete(state: &mut State, request: &Request) -> Outcome {
    Ok(remove(state, request.id())?.into())
}

fn expire(state: &mut State, id: &str) -> Result<(), ApiError> {
    if state.look(&TEST_CLOCK, id).is_some() {
        remove(state, id)?;
    }
    Ok(())
}

/// Removes the clock and its customers.
fn remove(state: &mut State, id: &str) -> Result<Value, ApiError> {
    state.get(&TEST_CLOCK, id, "test_clock")?;
    let customers = state.matching(&CUSTOMER, |customer| text(customer, "test_clock") == Some(id));
    for customer in customers {
        customers::remove(state, text(&customer, "id").unwrap_or_default())?;
    }
    state.due.forget_clock(id);
    state.due.unschedule("test_clock.delete", id);
    state.remove(&TEST_CLOCK, id, "test_helpers.test_clock.deleted", false)
}
