//! What goes over the wire, and what never does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use subledger::stripe::client::base::{ApiBase, BaseError};
use subledger::stripe::client::{STRIPE_VERSION, TransportKind};
use subledger::stripe::gateway::{Call, GatewayError, Listing, ObjectKind, OnAccount, Page, Read, StripeGateway};

use super::{OWN, SECRET, client, intent};
use crate::stripe_api::{Fault, Loopback, Wire};

const BOTH: [TransportKind; 2] = [TransportKind::Pooled, TransportKind::Stock];

fn customer() -> Call {
    Call::CreateCustomer {
        tenant: Some("acme".parse().unwrap()),
        name: Some("Åcme & Söhne, 50 % = ½".to_owned()),
        email: Some("a+b@example.com".to_owned()),
    }
}

/// Without what may differ between the transports.
fn comparable(wire: &Wire) -> Wire {
    let differs = ["stripe-version", "user-agent", "host"];
    let mut wire = wire.clone();
    wire.headers.retain(|(name, _)| !differs.contains(&name.as_str()));
    wire
}

#[tokio::test]
async fn both_transports_send_the_same() {
    let (ours, stock) = (Loopback::start().await, Loopback::start().await);
    let connected = OnAccount::connected("acct_1");
    for (server, transport) in [(&ours, TransportKind::Pooled), (&stock, TransportKind::Stock)] {
        let client = client(&server.base(), transport);
        let one = subledger::stripe::gateway::IntentId::new(uuid::Uuid::from_u128(7)).into();
        let cancel = Call::CancelNow {
            subscription: "sub_1".parse().unwrap(),
            invoice_now: true,
            prorate: false,
            because: Default::default(),
        };
        let list = Read::List {
            list: Listing::Subscriptions("cus_1".parse().unwrap()),
            page: Page::After("sub_9".into()),
        };
        client.call(&OWN, one, &customer()).await.unwrap();
        client.call(&connected, one, &cancel).await.unwrap_err();
        client.read(&OWN, &list).await.unwrap();
        client
            .read(&connected, &Read::object(ObjectKind::Invoice, "in_1"))
            .await
            .unwrap_err();
    }
    let (ours, stock) = (ours.wire(), stock.wire());
    assert_eq!(ours.len(), 4);
    assert_eq!(
        ours.iter().map(comparable).collect::<Vec<_>>(),
        stock.iter().map(comparable).collect::<Vec<_>>()
    );
    for wire in &ours {
        assert_eq!(wire.header("stripe-version"), Some(STRIPE_VERSION));
        assert_eq!(wire.header("authorization"), Some(format!("Bearer {SECRET}").as_str()));
        assert!(
            wire.header("user-agent")
                .is_some_and(|agent| agent.starts_with("subledger/")),
            "{wire:?}"
        );
    }
    assert_eq!(
        ours[0].header("idempotency-key"),
        Some("00000000-0000-0000-0000-000000000007")
    );
    assert_eq!(ours[2].header("idempotency-key"), None);
    assert_eq!(
        (ours[0].header("stripe-account"), ours[1].header("stripe-account")),
        (None, Some("acct_1"))
    );
    // The version the stock client cannot be told is the one we send ourselves.
    assert_eq!(stock[0].header("stripe-version"), Some(STRIPE_VERSION));
}

#[tokio::test]
async fn connections_are_kept_by_our_transport_and_bounded_by_both() {
    for transport in BOTH {
        let server = Loopback::start().await;
        let client = client(&server.base(), transport);
        for _ in 0..20 {
            client.call(&OWN, intent(), &customer()).await.unwrap();
        }
        let wanted = if transport == TransportKind::Pooled { 1 } else { 20 };
        assert_eq!(server.connections(), wanted, "{transport:?}");
        for _ in 0..40 {
            server.fail(Fault::Slow(20));
        }
        let many = (0..40).map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.call(&OWN, intent(), &customer()).await.is_ok() })
        });
        for one in many.collect::<Vec<_>>() {
            assert!(one.await.unwrap(), "{transport:?}");
        }
        let most = server.most_at_once();
        assert!((2..=8).contains(&most), "{transport:?}: {most} at once");
    }
}

#[tokio::test]
async fn a_redirect_is_refused_and_nobody_else_is_called() {
    let elsewhere = Loopback::start().await;
    for transport in BOTH {
        for status in [301, 302, 303, 307, 308] {
            let server = Loopback::start().await;
            let reply = format!(
                "HTTP/1.1 {status} X\r\nLocation: {}v1/customers\r\nContent-Length: 0\r\n\r\n",
                elsewhere.base()
            );
            server.fail(Fault::Raw(reply.clone().into_bytes()));
            let client = client(&server.base(), transport);
            let outcome = client.call(&OWN, intent(), &customer()).await;
            assert!(outcome.is_err(), "{transport:?} {status}: {outcome:?}");
            if transport == TransportKind::Pooled {
                let Err(GatewayError::Permanent(refusal)) = outcome else {
                    panic!("{status}: {outcome:?}")
                };
                assert!(refusal.message.contains("stripe.api_base"), "{}", refusal.message);
            }
            server.fail(Fault::Raw(reply.into_bytes()));
            let read = Read::object(ObjectKind::Customer, "cus_1");
            assert!(client.read(&OWN, &read).await.is_err(), "{transport:?} {status}");
        }
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn no_id_leads_out_of_its_place_in_the_path() {
    let server = Loopback::start().await;
    let client = client(&server.base(), TransportKind::Pooled);
    let ids = [
        "../customers/cus_1",
        "..",
        ".",
        "cus_1?expand=x",
        "cus_1#x",
        "@evil.example",
        "//evil.example/x",
        "a/b",
        "ä",
        "%2e%2e",
        "\\x",
    ];
    for id in ids {
        client
            .read(&OWN, &Read::object(ObjectKind::Subscription, id))
            .await
            .unwrap_err();
    }
    let targets: BTreeSet<String> = server.wire().iter().map(|wire| wire.target.clone()).collect();
    assert_eq!(targets.len(), ids.len());
    for target in targets {
        let id = target
            .strip_prefix("/v1/subscriptions/")
            .unwrap_or_else(|| panic!("{target}"));
        assert!(
            id.bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'%' | b'-' | b'_' | b'~')),
            "{target}"
        );
    }
}

#[tokio::test]
async fn the_key_is_in_no_message_and_no_debug_text() {
    for transport in BOTH {
        let server = Loopback::start().await;
        let client = client(&server.base(), transport);
        let mut texts = Vec::new();
        for fault in [
            Fault::LostReply,
            Fault::Failure,
            Fault::ForeignPage,
            Fault::Unauthorized,
            Fault::TruncatedBody,
            Fault::TooMany(None),
        ] {
            server.fail(fault);
            texts.push(format!(
                "{0} {0:?}",
                client.call(&OWN, intent(), &customer()).await.unwrap_err()
            ));
        }
        for raw in ["not http at all", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"] {
            server.fail(Fault::Raw(raw.as_bytes().to_vec()));
            texts.push(format!(
                "{0} {0:?}",
                client.call(&OWN, intent(), &customer()).await.unwrap_err()
            ));
        }
        for text in texts {
            assert!(
                !text.contains(SECRET) && !text.contains(&SECRET[8..]),
                "{transport:?}: {text}"
            );
            assert!(text.len() < 8_192, "{transport:?}: {} bytes", text.len());
        }
    }
}

#[tokio::test]
async fn a_body_without_end_is_not_read_to_the_end() {
    let server = Loopback::start().await;
    let client = client(&server.base(), TransportKind::Pooled);
    let size = 64 * 1024 * 1024;
    let mut reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n{{\"id\":\"").into_bytes();
    reply.resize(reply.len() + size, b'x');
    server.fail(Fault::Raw(reply));
    let outcome = client.call(&OWN, intent(), &customer()).await;
    let Err(GatewayError::OutcomeUnknown(loss)) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(loss.reason.contains("more than 16 MiB"), "{}", loss.reason);
}

#[tokio::test]
async fn nobody_there_means_nothing_was_sent() {
    let base = format!("http://127.0.0.1:{}/", crate::support::ports::free_port());
    let client = client(&base, TransportKind::Pooled);
    let outcome = client.call(&OWN, intent(), &customer()).await;
    assert!(matches!(outcome, Err(GatewayError::Transient(_))), "{outcome:?}");
}

#[tokio::test]
async fn headers_of_a_reply_are_facts() {
    let server = Loopback::start().await;
    let client = client(&server.base(), TransportKind::Pooled);
    let answer = client.call(&OWN, intent(), &customer()).await.unwrap();
    assert_eq!(answer.request_id.as_deref(), Some("req_1"));
    assert_eq!(answer.api_version.as_deref(), Some(STRIPE_VERSION));
    assert!(answer.stripe_time.is_some());
    let then = "HTTP/1.1 200 X\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\n\r\n{}";
    server.fail(Fault::Raw(then.as_bytes().to_vec()));
    let answer = client.call(&OWN, intent(), &customer()).await.unwrap();
    let told = answer.stripe_time.map(|at| at.to_string());
    assert_eq!(told.as_deref(), Some("1994-11-06T08:49:37Z"));
    let held = "HTTP/1.1 429 X\r\nStripe-Should-Retry: false\r\nContent-Length: 2\r\n\r\n{}";
    server.fail(Fault::Raw(held.as_bytes().to_vec()));
    let outcome = client.call(&OWN, intent(), &customer()).await;
    assert!(matches!(outcome, Err(GatewayError::Permanent(_))), "{outcome:?}");
    let busy = "HTTP/1.1 503 X\r\nRetry-After: 11\r\nRequest-Id: req_9\r\nContent-Length: 2\r\n\r\n{}";
    server.fail(Fault::Raw(busy.as_bytes().to_vec()));
    let Err(GatewayError::OutcomeUnknown(loss)) = client.call(&OWN, intent(), &customer()).await else {
        panic!("a failure is unknown");
    };
    assert_eq!(
        (loss.retry_after, loss.request_id.as_deref()),
        (Some(Duration::from_secs(11)), Some("req_9"))
    );
}

#[test]
fn only_a_base_that_may_be_called_is_taken() {
    for good in [
        "https://api.stripe.com",
        "https://api.stripe.com/",
        "https://stripe.example/base/",
        "http://127.0.0.1:1/",
        "http://localhost:9/",
        "http://[::1]:8/",
    ] {
        assert!(
            ApiBase::parse(good).is_ok_and(|base| base.as_str().ends_with('/')),
            "{good}"
        );
    }
    for plain in [
        "http://api.stripe.com/",
        "http://127.0.0.1.example/",
        "http://10.0.0.1/",
    ] {
        assert_eq!(ApiBase::parse(plain), Err(BaseError::Plain), "{plain}");
    }
    let no_url = [
        "",
        "api.stripe.com",
        "/v1",
        "ftp://x/",
        "https://u:p@api.stripe.com/",
        "https://api.stripe.com/?a=",
        "https://api.stripe.com/#a",
        "https:///x",
        "https://api stripe.com/",
        "https://api.stripe.com\\@evil/",
    ];
    for bad in no_url {
        assert_eq!(ApiBase::parse(bad), Err(BaseError::NoUrl), "{bad}");
    }
}
