//! What people ask of accounts, and how that meets what Stripe says.

use aggregates::ids::CustomerId;
use serde_json::json;
use subledger::directory::Kind;
use subledger::inbox::State;
use subledger::process::accounts::{AccountError, TenantAccount};

use super::world::{World, tenant};
use crate::support::stores;
use crate::support::stripe::{event, subscription};

const DAY: i64 = 1_790_000_000;

fn account(name: &str, customer: Option<&str>) -> TenantAccount {
    TenantAccount {
        tenant: tenant(name),
        name: Some("Acme".into()),
        email: Some("ann@example.com".into()),
        currency: None,
        stripe_customer: customer.map(|id| CustomerId::parse(id).unwrap()),
        metadata: std::collections::BTreeMap::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_an_account_again_changes_nothing() {
    for store in stores().await {
        let world = World::open(&store).await;
        let first = world
            .accounts
            .open(&World::caller("1"), &account("acme", Some("cus_1")))
            .await
            .unwrap();
        assert!(first.created && first.position.is_some(), "{:?}", store.kind);
        assert_eq!((first.stream.as_str(), first.sequence), ("tenant:acme", 2));
        let replayed = world
            .accounts
            .open(&World::caller("1"), &account("acme", Some("cus_1")))
            .await
            .unwrap();
        assert!(replayed.replayed && !replayed.created);
        assert_eq!(replayed.position, first.position);
        let again = world
            .accounts
            .open(&World::caller("2"), &account("acme", Some("cus_1")))
            .await
            .unwrap();
        assert_eq!((again.created, again.position, again.sequence), (false, None, 2));
        assert_eq!(world.log().await.len(), 2);
        // Its webhooks find it, whatever they name.
        let customer = json!({ "id": "cus_1", "object": "customer", "metadata": {}, "created": DAY });
        world.send(&event("evt_1", "customer.updated", DAY, &customer)).await;
        world.settle().await;
        assert_eq!(world.account("tenant:acme").await.life.customers.len(), 1);
        world.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_one_account_and_a_customer_one_tenant() {
    for store in stores().await {
        let world = World::open(&store).await;
        world
            .accounts
            .open(&World::caller("1"), &account("acme", Some("cus_1")))
            .await
            .unwrap();
        for (nth, (name, customer)) in [("acme", "cus_2"), ("other", "cus_1")].into_iter().enumerate() {
            let refused = world
                .accounts
                .open(&World::caller(&format!("r{nth}")), &account(name, Some(customer)))
                .await;
            assert!(
                matches!(refused, Err(AccountError::Rejected(_))),
                "{:?} {name} {customer}: {refused:?}",
                store.kind
            );
        }
        assert_eq!(world.entry(Kind::Customer, "cus_2").await, None);
        world.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opened_tenant_without_customer_yields_to_the_stream_stripe_knows() {
    for store in stores().await {
        let world = World::open(&store).await;
        world
            .accounts
            .open(&World::caller("1"), &account("tenant-000001", None))
            .await
            .unwrap();
        let mut object = subscription(1, "active", 1, DAY);
        object["metadata"] = json!({});
        world
            .send(&event("evt_1", "customer.subscription.created", DAY, &object))
            .await;
        world.settle().await;
        assert_eq!(
            world.entry(Kind::Tenant, "tenant-000001").await.as_deref(),
            Some("tenant:tenant-000001")
        );
        let told = subscription(1, "active", 2, DAY);
        world
            .send(&event("evt_2", "customer.subscription.updated", DAY + 1, &told))
            .await;
        world.settle().await;
        assert_eq!(
            world.entry(Kind::Tenant, "tenant-000001").await.as_deref(),
            Some("cus_000001"),
            "{:?}",
            store.kind
        );
        assert_eq!(
            world.account("cus_000001").await.account.tenant,
            Some(tenant("tenant-000001"))
        );
        assert_eq!(world.states().await, [(State::Applied, 2)]);
        world.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unassigned_account_is_assigned_by_a_person() {
    for store in stores().await {
        let world = World::open(&store).await;
        let mut object = subscription(1, "active", 1, DAY);
        object["metadata"] = json!({});
        world
            .send(&event("evt_1", "customer.subscription.created", DAY, &object))
            .await;
        world.settle().await;
        let customer = CustomerId::parse("cus_000001").unwrap();
        let assign = |nth: &'static str, name: &'static str| {
            let (world, customer) = (&world, &customer);
            async move {
                let caller = World::caller(nth);
                world
                    .accounts
                    .assign(&caller, customer, &tenant(name), "they wrote to us")
                    .await
            }
        };
        let done = assign("1", "acme").await.unwrap();
        assert_eq!(done.stream.as_str(), "cus_000001", "{:?}", store.kind);
        assert_eq!(world.entry(Kind::Tenant, "acme").await.as_deref(), Some("cus_000001"));
        assert_eq!(world.account("cus_000001").await.account.tenant, Some(tenant("acme")));
        assert!(assign("2", "acme").await.unwrap().position.is_none());
        assert!(matches!(assign("3", "other").await, Err(AccountError::Rejected(_))));
        let unknown = CustomerId::parse("cus_9").unwrap();
        let refused = world
            .accounts
            .assign(&World::caller("4"), &unknown, &tenant("x"), "why")
            .await;
        assert!(matches!(refused, Err(AccountError::UnknownCustomer(_))));
        world.close().await;
    }
}
