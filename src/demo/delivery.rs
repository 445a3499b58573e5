//! The disorder of a real network, and the posting of webhooks with real signatures.
//!
//! 1. Every history is shuffled within a window, so that neighbours overtake each other.
//! 2. Every seventh webhook comes twice.
//! 3. Of every history the third webhook is late by weeks: it comes after everything else.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use futures::StreamExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::cast::Part;
use super::story::Delivery;
use crate::clock::Clock;
use crate::stripe::signature;

/// How far webhooks overtake each other, in places.
const WINDOW: usize = 6;
/// Every how many webhooks one comes twice.
const TWICE_EVERY: usize = 7;
/// Webhooks on their way at once, as Stripe sends them.
const IN_FLIGHT: usize = 8;

/// What was sent, and how it was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Posts.
    pub posts: usize,
    /// Of them, second copies.
    pub copies: usize,
    /// Of them, answered 200.
    pub taken: usize,
}

/// A webhook could not be delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The server does not answer.
    #[error("the server does not take webhooks: {0}")]
    Unreachable(#[from] hyper_util::client::legacy::Error),
    /// The request could not be written.
    #[error("a webhook could not be written: {0}")]
    Request(#[from] axum::http::Error),
}

/// All webhooks of a cast in the order in which they arrive. The same seed gives the same order.
#[must_use]
pub fn disorder(cast: &[Part], seed: u64) -> Vec<Delivery> {
    let mut random = Random(seed | 1);
    let (mut arriving, mut late) = (Vec::new(), Vec::new());
    for part in cast {
        let mut own = part.story.deliveries(part.era);
        if own.len() > 4 {
            late.push(own.remove(2));
        }
        arriving.extend(own);
    }
    arriving.sort_by_key(|delivery| delivery.created);
    for at in 0..arriving.len() {
        let other = (at + random.below(WINDOW)).min(arriving.len() - 1);
        arriving.swap(at, other);
    }
    arriving.extend(late);
    let mut posts = Vec::new();
    for (index, delivery) in arriving.into_iter().enumerate() {
        if index % TWICE_EVERY == TWICE_EVERY - 1 {
            posts.push(delivery.clone());
        }
        posts.push(delivery);
    }
    posts
}

/// A small generator (xorshift): the demo needs variety, not secrecy.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap_or(0)
    }
}

/// Posts everything to `<base>/webhooks/stripe`, signed as Stripe signs, and counts the answers.
pub async fn deliver(base: &str, secret: &str, posts: &[Delivery], clock: &Clock) -> Result<Sent, DeliveryError> {
    let client: Client<HttpConnector, Body> = Client::builder(TokioExecutor::new()).build_http();
    let mut seen = std::collections::BTreeSet::new();
    let copies = posts.iter().filter(|post| !seen.insert(post.event_id.as_str())).count();
    let mut sent = Sent {
        posts: posts.len(),
        copies,
        taken: 0,
    };
    let post = |delivery: &Delivery| {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{base}/webhooks/stripe"))
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .header("Stripe-Signature", signature::sign(secret, clock.now(), &delivery.body))
            .body(Body::from(delivery.body.clone()));
        let client = client.clone();
        async move { Ok::<_, DeliveryError>(client.request(request?).await?.status()) }
    };
    let mut answers = futures::stream::iter(posts.iter().map(post).collect::<Vec<_>>()).buffered(IN_FLIGHT);
    while let Some(status) = answers.next().await {
        sent.taken += usize::from(status? == StatusCode::OK);
    }
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::cast::everybody;
    use super::*;

    #[test]
    fn nothing_is_lost_and_there_are_copies_disorder_and_latecomers() {
        let cast = everybody(1_800_000_000);
        let posts = disorder(&cast, 7);
        let told: usize = cast.iter().map(|part| part.story.events().len()).sum();
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for post in &posts {
            *counts.entry(&post.event_id).or_default() += 1;
        }
        assert_eq!(counts.len(), told);
        assert!(counts.values().filter(|count| **count == 2).count() >= told / 8);
        let backwards = posts
            .windows(2)
            .filter(|pair| pair[0].created > pair[1].created)
            .count();
        assert!(backwards >= told / 8, "{backwards}");
        let newest = posts.iter().map(|post| post.created).max().unwrap();
        assert!(
            newest - posts.last().unwrap().created > 21 * 86_400,
            "the last one is weeks late"
        );
        assert_eq!(posts, disorder(&cast, 7));
    }
}
