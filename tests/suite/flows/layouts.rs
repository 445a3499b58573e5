//! One story on every layout of the store: as it is made, spread over hash partitions, and over two databases. What
//! ends alike there needs nothing that a server with parts on several machines does not have.

use std::collections::BTreeMap;

use aggregates::subscription::AGGREGATE_TYPE;
use projections::db::{Db, DbConfig, Pool};
use projections::status::list::{TenantFilter, count_tenants, tenants};
use projections::views::View;
use serde_json::{Value, json};
use subledger::clock::Clock;
use subledger::inbox::{ReceiptFilter, State};

use super::world::{World, open_db};
use crate::support::stripe::{event, subscription};
use crate::support::{TestStore, postgres, stores};
use crate::views::follow::{caught_up, rebuild_and_compare, runner};

const DAY: i64 = 1_790_000_000;
const ACCOUNTS: u32 = 24;
/// Receipts of one page: several pages, the last of them short.
const PAGE: u32 = 17;

/// What must not depend on the layout. The order in which receipts of one moment arrive may: names of events are
/// labels as of arrival, so accounts are compared by what they are.
#[derive(Debug, PartialEq)]
struct Ending {
    /// Number and state of receipts.
    receipts: Vec<(State, usize)>,
    /// What each account is, and what each object's events say.
    streams: BTreeMap<String, String>,
    /// Tenant and subscriptions of every account, as listed.
    tenants: Vec<String>,
    counted: u64,
}

fn deliveries() -> Vec<Value> {
    let mut all = Vec::new();
    for n in 0..ACCOUNTS {
        let at = DAY + i64::from(n);
        let charge = json!({ "id": format!("ch_{n}"), "object": "charge", "amount": 4900, "amount_captured": 4900,
            "amount_refunded": 0, "currency": "usd", "customer": format!("cus_{n:06}"), "status": "succeeded", "paid": true,
            "captured": true, "payment_intent": format!("pi_{n}"), "created": at });
        let dispute = json!({ "id": format!("dp_{n}"), "object": "dispute", "charge": format!("ch_{n}"), "amount": 4900,
            "currency": "usd", "status": "needs_response", "reason": "fraudulent", "balance_transactions": [],
            "is_charge_refundable": false, "created": at });
        let price = json!({ "id": format!("price_{n}"), "object": "price", "active": true, "currency": "usd",
            "unit_amount": 4900, "product": "prod_1", "type": "recurring", "recurring": {"interval": "month"} });
        // The dispute comes first and waits for its charge.
        all.push(event(&format!("evt_d{n}"), "charge.dispute.created", at + 50, &dispute));
        for (step, status) in ["trialing", "active", "past_due", "active"].into_iter().enumerate() {
            let step = i64::try_from(step).unwrap();
            let object = subscription(n, status, n + 1, DAY);
            let id = format!("evt_s{n}_{step}");
            all.push(event(&id, "customer.subscription.updated", at + step, &object));
        }
        all.push(event(&format!("evt_c{n}"), "charge.succeeded", at + 40, &charge));
        all.push(event(&format!("evt_p{n}"), "price.created", at, &price));
        all.push(event(&format!("evt_u{n}"), "a.type.of.tomorrow", at, &json!({})));
    }
    all
}

/// Deliveries to rows; each list is read in pages, each view rebuilt and compared by the byte.
async fn told(db: Db) -> Ending {
    let runner = runner(&db).await;
    let world = World::on(db.clone(), false);
    for delivery in deliveries() {
        world.send(&delivery).await;
    }
    world.settle().await;
    for n in 0..ACCOUNTS {
        world.until(&format!("evt_d{n}"), State::Applied).await;
    }
    caught_up(&db, &runner).await;

    let mut listed = Vec::new();
    loop {
        let after = listed.last().map(subledger::inbox::Receipt::cursor);
        let filter = ReceiptFilter::default();
        let page = world.receipts.list(&filter, after.as_ref(), PAGE).await.unwrap();
        let last = page.len() < PAGE as usize;
        listed.extend(page);
        if last {
            break;
        }
    }
    let mut keys: Vec<String> = listed.iter().map(|receipt| receipt.key.to_string()).collect();
    keys.sort();
    keys.dedup();
    assert_eq!((keys.len(), listed.len()), (deliveries().len(), deliveries().len()));

    let mut streams: BTreeMap<String, String> = BTreeMap::new();
    for stored in world.log().await {
        let said = streams.entry(stored.stream.clone()).or_default();
        if stored.aggregate_type == AGGREGATE_TYPE {
            if said.is_empty() {
                *said = format!("{:?}", world.account(&stored.stream).await);
            }
        } else {
            *said += &format!("{} {}\n", stored.event_type, stored.payload);
        }
    }

    rebuild_and_compare(&db, &runner, &View::ALL).await;
    let filter = TenantFilter::default();
    let rows = tenants(&db, runner.progress(), &filter, None, 1_000).await.unwrap();
    let said = rows.iter().map(|it| {
        let book = &it.row.book;
        format!("{:?} {:?}", book.account.tenant, book.life)
    });
    let ending = Ending {
        receipts: world.states().await,
        streams,
        tenants: said.collect(),
        counted: count_tenants(&db, runner.progress(), &filter, 1_000).await.unwrap(),
    };
    runner.stop().await;
    world.close().await;
    ending
}

#[tokio::test(flavor = "multi_thread")]
async fn a_story_ends_alike_on_every_layout() {
    let mut endings = Vec::new();
    for store in stores().await {
        endings.push((format!("{:?}", store.kind), told(open_db(&store).await).await));
    }
    if let (Some(store), Some(even), Some(odd)) = (
        TestStore::postgres().await,
        TestStore::postgres().await,
        TestStore::postgres().await,
    ) {
        let db = open_db(&store).await;
        let Pool::Postgres(pool) = db.pool_for(0) else { panic!() };
        assert!(postgres::spread(pool).await >= 13);
        db.close().await;
        endings.push(("hash partitions".to_owned(), told(open_db(&store).await).await));

        let mut config = DbConfig {
            accept_unsafe_server: true,
            ..DbConfig::new(even.url().unwrap(), Clock::system().now())
        };
        config.urls.push(odd.url().unwrap().to_owned());
        endings.push(("two databases".to_owned(), told(Db::open(&config).await.unwrap()).await));
    }
    let (_, first) = &endings[0];
    assert_eq!(first.tenants.len(), ACCOUNTS as usize, "{:?}", first.tenants);
    assert_eq!(first.counted, u64::from(ACCOUNTS));
    assert_eq!(first.receipts, [(State::Applied, 7 * 24), (State::Ignored, 24)]);
    for (name, ending) in &endings {
        for (stream, said) in &first.streams {
            assert_eq!(ending.streams.get(stream), Some(said), "{stream} on {name}");
        }
        for (n, tenant) in first.tenants.iter().enumerate() {
            assert_eq!(&ending.tenants[n], tenant, "{name}");
        }
        assert!(ending == first, "{name}");
    }
}
