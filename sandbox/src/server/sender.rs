//! Delivering: POSTs what is ready, notes the answers.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Sandbox;
use crate::webhooks::queue::Outgoing;

/// Longest wait for an endpoint's answer, as Stripe's.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// How often the queue is looked at when nothing happens: attempts that are due later.
const TICK: Duration = Duration::from_millis(50);
/// Most bytes read of an endpoint's answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

type Http = Client<HttpConnector, Full<Bytes>>;

/// Delivers until told to stop; attempts under way end first.
pub(super) async fn deliver(sandbox: Sandbox, mut stopped: watch::Receiver<bool>) {
    let client: Http = Client::builder(TokioExecutor::new()).build_http();
    let mut under_way = JoinSet::new();
    loop {
        let ready = {
            let mut state = sandbox.state();
            // Also when nobody calls, work whose time has come is done.
            state.run_due();
            state.take_ready()
        };
        for outgoing in ready {
            under_way.spawn(attempt(sandbox.clone(), client.clone(), outgoing));
        }
        tokio::select! {
            () = sandbox.waker().notified() => {}
            Some(_) = under_way.join_next() => {}
            () = tokio::time::sleep(TICK) => {}
            _ = stopped.changed() => break,
        }
    }
    while under_way.join_next().await.is_some() {}
}

async fn attempt(sandbox: Sandbox, client: Http, outgoing: Outgoing) {
    let outcome = match tokio::time::timeout(ANSWER_TIME_MAX, post(&client, &outgoing)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("no answer in {} s", ANSWER_TIME_MAX.as_secs())),
    };
    sandbox.state().delivered(&outgoing, outcome);
}

async fn post(client: &Http, outgoing: &Outgoing) -> Result<u16, String> {
    if !outgoing.url.starts_with("http://") {
        return Err("the sandbox delivers to http:// only".to_owned());
    }
    let request = Request::post(&outgoing.url)
        .header("content-type", "application/json; charset=utf-8")
        .header("user-agent", "Stripe/1.0 (sandbox)")
        .header("stripe-signature", &outgoing.signature)
        .body(Full::new(Bytes::from(outgoing.body.clone())))
        .map_err(|error| error.to_string())?;
    let response = client.request(request).await.map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    // Read to its end, so that the connection can be used again.
    let body = http_body_util::Limited::new(response.into_body(), ANSWER_BYTES_MAX);
    let _ = body.collect().await;
    Ok(status)
}
