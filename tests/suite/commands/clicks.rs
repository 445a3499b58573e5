//! Many clicks on one quantity: the right number at Stripe, and few calls.

use std::time::Instant;

use serde_json::json;

use super::portal::{Portal, team};
use crate::support::{figure, stores};

/// Clicks, enough for several calls to be spared; `SUBLEDGER_CLICKS` sets another number.
const CLICKS: u32 = 200;

fn clicks() -> u32 {
    let more = std::env::var("SUBLEDGER_CLICKS").ok();
    more.map_or(CLICKS, |text| text.parse().expect("a number in SUBLEDGER_CLICKS"))
}

#[tokio::test(flavor = "multi_thread")]
async fn rapid_clicks_end_in_the_right_quantity_with_few_calls() {
    for store in stores().await {
        let portal = Portal::open(store).await;
        portal.subscribed(1, team(1, 5)).await;
        let (begin, mut wanted, mut last) = (Instant::now(), 5_i64, String::new());
        let clicks = clicks();
        for click in 0..clicks {
            // Two up, one down.
            let delta = if click % 3 == 2 { -1 } else { 1 };
            wanted += delta;
            last = portal
                .accepted(1, "subscription/change-quantity", &json!({ "delta": delta }))
                .await;
        }
        portal.until(1, &last, "applied").await;
        let calls: Vec<_> = portal
            .stripe
            .wire()
            .into_iter()
            .filter(|wire| wire.method == "POST" && wire.header("idempotency-key").is_some())
            .collect();
        assert!(
            portal.form(&last).contains(&format!("items[0][quantity]={wanted}&")),
            "{}",
            portal.form(&last)
        );
        let allowed = 2 + usize::try_from(begin.elapsed().as_secs() / 20).unwrap();
        assert!(calls.len() <= allowed, "{} calls, {allowed} allowed", calls.len());
        let list = portal.get(1, "commands?limit=200").await;
        let open = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|it| it["status"] == "accepted")
            .count();
        assert_eq!(open, 0);
        portal.effects_are_single();
        figure(&format!(
            "{}: {clicks} clicks, {} calls at Stripe in {} s, the last quantity stands",
            portal.store(),
            calls.len(),
            begin.elapsed().as_secs()
        ));
    }
}
