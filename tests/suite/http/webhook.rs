//! The front door for Stripe: forged deliveries are refused and leave nothing, right ones are durable.

use serde_json::Value;

use super::harness::{App, NOW};
use crate::support::stripe::{SECRET, signature_at};

const BODY: &str =
    r#"{"id":"evt_1","object":"event","type":"invoice.paid","livemode":false,"data":{"object":{"id":"in_1"}}}"#;

async fn stored(app: &App) -> usize {
    let answer = app.operate("GET", "/v1/webhook-inbox", &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"].as_array().expect("a list").len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_delivery_is_durable_and_a_second_one_is_a_duplicate() {
    for app in App::all().await {
        let first = app.deliver(BODY).await;
        assert_eq!((first.status, first.text().as_str()), (200, r#"{"received":true}"#));
        assert_eq!(app.deliver(BODY).await.json()["duplicate"], true);
        assert_eq!(stored(&app).await, 1);
        let shown = app
            .operate("GET", "/v1/webhook-inbox/default/evt_1", &Value::Null)
            .await
            .json();
        assert_eq!(
            (&shown["type"], &shown["body_kept"]),
            (&"invoice.paid".into(), &"as_received".into())
        );
        assert_eq!(shown["secret_name"], "main");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_deliveries_are_refused_and_change_nothing() {
    let right = signature_at(SECRET, NOW, BODY.as_bytes());
    let (time, _) = right.split_once(",v1=").expect("a signature");
    let old = signature_at(SECRET, NOW - 301, BODY.as_bytes());
    let wrong = signature_at("whsec_wrong", NOW, BODY.as_bytes());
    let many = format!("{time}{}", ",v1=00".repeat(300));
    let cut = right[..right.len() - 1].to_owned();
    let v0 = right.replace("v1=", "v0=");
    let empty = format!("{time},v1=");
    let words = right.replace(time, "t=soon");
    let long = format!("{right},v1={}", "0".repeat(5_000));
    for app in App::all().await {
        for (name, header) in [
            ("wrong secret", &wrong),
            ("too old", &old),
            ("many candidates", &many),
            ("truncated", &cut),
            ("only v0", &v0),
            ("empty v1", &empty),
            ("no number", &words),
            ("oversized", &long),
        ] {
            let answer = app
                .call("POST", "/webhooks/stripe", &[("stripe-signature", header)], BODY)
                .await;
            assert_eq!(
                (answer.status, answer.problem().as_str()),
                (400, "signature-invalid"),
                "{name}"
            );
        }
        for body in [
            format!("{BODY} "),
            BODY.replace("\":", "\": "),
            BODY.replace("evt_1", "evt_2"),
            format!("{BODY}\n"),
        ] {
            let answer = app
                .call("POST", "/webhooks/stripe", &[("stripe-signature", &right)], &body)
                .await;
            assert_eq!(answer.problem(), "signature-invalid", "{body}");
        }
        assert_eq!(
            app.call("POST", "/webhooks/stripe", &[], BODY).await.problem(),
            "signature-invalid"
        );
        let twice = [("stripe-signature", &*right), ("stripe-signature", &*right)];
        assert_eq!(
            app.call("POST", "/webhooks/stripe", &twice, BODY).await.problem(),
            "signature-invalid"
        );
        let named = [("stripe-signature", &*right)];
        assert_eq!(
            app.call("POST", "/webhooks/stripe/other", &named, BODY).await.problem(),
            "not-found"
        );
        assert_eq!(stored(&app).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_stripe_signs_is_taken() {
    for app in App::all().await {
        for (count, body) in [
            "{}",
            "[]",
            "not json",
            "",
            "{\"id\":7}",
            "{\"id\":\"evt_9\",\"id\":\"evt_8\"}",
            "\u{0}",
        ]
        .iter()
        .enumerate()
        {
            let answer = app.deliver(body).await;
            assert_eq!(answer.status, 200, "{body}: {}", answer.text());
            assert_eq!(stored(&app).await, count + 1);
        }
        let future = signature_at(SECRET, NOW + 3_600, BODY.as_bytes());
        let rolled = format!("{},v1={},v1=00", future.replace(",v1=", ",v1=00,v1="), "0".repeat(64));
        for header in [future, rolled] {
            let answer = app
                .call("POST", "/webhooks/stripe", &[("stripe-signature", &header)], BODY)
                .await;
            assert_eq!(answer.status, 200, "{header}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_body_may_be_as_large_as_a_mebibyte() {
    let app = App::new().await;
    for (length, status) in [(1_048_575, 200), (1_048_576, 200), (1_048_577, 413)] {
        let head = format!("{{\"id\":\"evt_{length}\",\"fill\":\"");
        let body = format!("{head}{}\"}}", "x".repeat(length - head.len() - 2));
        assert_eq!(body.len(), length);
        assert_eq!(app.deliver(&body).await.status, status, "{length}");
    }
}
