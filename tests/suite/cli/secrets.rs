//! Signing secrets while they are rolled, and an endpoint that has one of its own.

use serde_json::json;

use crate::support::server::{Launch, Server};
use crate::support::stripe::{SECRET, now, signature_at};
use crate::support::{stores, stripe};

const NEXT: &str = "whsec_next_0123456789abcdef0123456789abcdef";
const CONNECT: &str = "whsec_connect_0123456789abcdef0123456789abcdef";

/// Delivers an event of `account`; the account that owns the endpoint is not named in its events.
async fn deliver(server: &Server, path: &str, secret: &str, account: Option<&str>, id: &str) -> u16 {
    let mut event = stripe::event(id, "product.created", 1_790_000_000, &json!({ "id": "prod_1" }));
    event["account"] = json!(account);
    let body = event.to_string();
    let signature = signature_at(secret, now(), body.as_bytes());
    let headers = [("Stripe-Signature", signature.as_str())];
    server.send("POST", path, &headers, body.as_bytes()).await.status
}

#[tokio::test]
async fn each_endpoint_takes_what_any_of_its_secrets_signed() {
    for store in stores().await {
        let server = Launch::new(&store)
            .with("STRIPE_WEBHOOK_SECRET", &format!("{SECRET},{NEXT}"))
            .with("SUBLEDGER__STRIPE__ENDPOINTS__CONNECT__WEBHOOK_SECRETS", CONNECT)
            .start()
            .await;
        let (main, connect) = ("/webhooks/stripe", "/webhooks/stripe/connect");
        let other = Some("acct_1");
        for (path, secret, account, id, status) in [
            (main, SECRET, None, "evt_old", 200),
            (main, NEXT, None, "evt_new", 200),
            (main, CONNECT, None, "evt_main_forged", 400),
            (connect, CONNECT, other, "evt_connect", 200),
            // Events of two accounts are two events, whatever they are called.
            (connect, CONNECT, other, "evt_old", 200),
            (connect, SECRET, other, "evt_connect_forged", 400),
        ] {
            assert_eq!(deliver(&server, path, secret, account, id).await, status, "{path} {id}");
        }
        for (receipt, name) in [
            ("default/evt_old", "default[0]"),
            ("default/evt_new", "default[1]"),
            ("acct_1/evt_connect", "connect[0]"),
            ("acct_1/evt_old", "connect[0]"),
        ] {
            let shown = server.get(&format!("/v1/webhook-inbox/{receipt}")).await;
            assert_eq!(shown["secret_name"], name, "{shown}");
        }
        let all = server.get("/v1/webhook-inbox").await;
        assert_eq!(all["data"].as_array().map(Vec::len), Some(4), "{all}");
    }
}
