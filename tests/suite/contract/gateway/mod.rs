//! What every gateway to Stripe must keep: the fake, and the real adapter with either transport over HTTP.

mod laws;
mod loops;
mod requests;
mod wire;

use std::sync::Arc;

use aggregates::plan::Mode;
use secrecy::SecretString;
use serde_json::Value;
use subledger::clock::Clock;
use subledger::stripe::client::base::ApiBase;
use subledger::stripe::client::{StripeClient, TransportKind};
use subledger::stripe::gateway::{CallKey, Gateway, IntentId, OnAccount};
use uuid::Uuid;

use crate::stripe_api::{Effects, FakeStripe, Fault, Loopback};

/// A key of Stripe's test mode that no account has.
pub(crate) const SECRET: &str = "sk_test_4eC39HqLyjWDarjtT1zdp7dc";

/// A gateway and the other side of it.
struct Stage {
    name: &'static str,
    gateway: Gateway,
    other: Other,
    /// The adapter sees the headers of a reply.
    sees_headers: bool,
}

enum Other {
    Memory(FakeStripe),
    Http(Loopback),
}

impl Stage {
    fn fail(&self, fault: Fault) {
        match &self.other {
            Other::Memory(fake) => fake.fail(fault),
            Other::Http(server) => server.fail(fault),
        }
    }

    fn put(&self, collection: &str, object: Value) {
        match &self.other {
            Other::Memory(fake) => fake.put(collection, object),
            Other::Http(server) => server.put(collection, object),
        }
    }

    fn effects(&self) -> Effects {
        match &self.other {
            Other::Memory(fake) => fake.effects(),
            Other::Http(server) => server.effects(),
        }
    }

    fn keyless(&self) -> u32 {
        match &self.other {
            Other::Memory(fake) => fake.keyless(),
            Other::Http(server) => server.keyless(),
        }
    }
}

/// The real adapter for a server.
pub(crate) fn client(base: &str, transport: TransportKind) -> Arc<StripeClient> {
    let base = ApiBase::parse(base).expect("a base");
    let secret = SecretString::from(SECRET);
    // The live rate, so that tests of many calls do not wait for tokens.
    StripeClient::new(base, secret, Mode::Live, transport, Clock::system()).expect("a client")
}

async fn over_http(name: &'static str, transport: TransportKind) -> Stage {
    let server = Loopback::start().await;
    Stage {
        name,
        gateway: client(&server.base(), transport),
        other: Other::Http(server),
        sees_headers: transport == TransportKind::Pooled,
    }
}

/// All gateways, each with a Stripe of its own.
async fn stages() -> Vec<Stage> {
    let fake = FakeStripe::default();
    vec![
        Stage {
            name: "fake",
            gateway: Arc::new(fake.clone()),
            other: Other::Memory(fake),
            sees_headers: true,
        },
        over_http("pooled", TransportKind::Pooled).await,
        over_http("stock", TransportKind::Stock).await,
    ]
}

fn intent() -> CallKey {
    IntentId::new(Uuid::now_v7()).into()
}

const OWN: OnAccount = OnAccount::own();
