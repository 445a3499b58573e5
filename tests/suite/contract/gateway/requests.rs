//! Every call and every question as Stripe gets it: method, path and form.

use aggregates::money::{Currency, Money};
use aggregates::time::Timestamp;
use subledger::stripe::client::TransportKind;
use subledger::stripe::gateway::call::{
    CancelAt, CancelReason, Checkout, DiscountSource, Feedback, ItemChange, ItemsChange, NewSubscription, Payment,
    Phase, Portal, PortalFlow, PricedItem, Proration, RefundReason, TrialEnd, Uncollected, WithoutCard,
};
use subledger::stripe::gateway::{Call, IntentId, Listing, ObjectKind, Page, Read, StripeGateway};
use uuid::Uuid;

use super::{OWN, client};
use crate::stripe_api::Loopback;

/// The intent of all calls here.
const ONE: &str = "00000000-0000-0000-0000-000000000001";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds).unwrap()
}

fn priced(price: &str, quantity: Option<u64>) -> PricedItem {
    PricedItem {
        price: price.parse().unwrap(),
        quantity,
    }
}

fn subscription() -> aggregates::ids::SubscriptionId {
    "sub_1".parse().unwrap()
}

fn reason() -> CancelReason {
    CancelReason {
        feedback: Some(Feedback::TooExpensive),
        comment: Some("too dear".to_owned()),
    }
}

fn change() -> ItemsChange {
    ItemsChange {
        subscription: subscription(),
        items: vec![
            ItemChange::Set {
                item: "si_1".parse().unwrap(),
                price: Some("price_2".parse().unwrap()),
                quantity: Some(3),
            },
            ItemChange::Add(priced("price_3", None)),
            ItemChange::Remove {
                item: "si_2".parse().unwrap(),
            },
        ],
        proration: Proration::AlwaysInvoice,
        prorate_at: Some(at(1_700_000_000)),
        keeps_subscription: false,
    }
}

/// Each call, and how it must be written.
#[expect(clippy::too_many_lines, reason = "one row a call")]
fn rows() -> Vec<(Call, &'static str, &'static str)> {
    vec![
        (
            Call::CreateCustomer {
                tenant: Some("acme".parse().unwrap()),
                name: Some("A B".into()),
                email: Some("a@b.c".into()),
            },
            "POST /v1/customers",
            "email=a@b.c&metadata[subledger_intent]=ONE&metadata[tenant_id]=acme&name=A B",
        ),
        (
            Call::UpdateCustomer {
                customer: "cus_1".parse().unwrap(),
                name: None,
                email: Some("a@b.c".into()),
                default_payment_method: Some("pm_1".parse().unwrap()),
            },
            "POST /v1/customers/cus_1",
            "email=a@b.c&invoice_settings[default_payment_method]=pm_1&metadata[subledger_intent]=ONE",
        ),
        (
            Call::OpenCheckout(Box::new(Checkout {
                customer: "cus_1".parse().unwrap(),
                tenant: Some("acme".parse().unwrap()),
                items: vec![priced("price_1", Some(2)), priced("price_m", None)],
                trial_days: Some(14),
                without_card: Some(WithoutCard::Pause),
                card_up_front: false,
                discount: Some(DiscountSource::PromotionCode("promo_1".into())),
                promotion_codes: true,
                tax_ids: true,
                automatic_tax: true,
                address_required: true,
                success_url: "https://app.example/ok?session_id={CHECKOUT_SESSION_ID}".into(),
                cancel_url: Some("https://app.example/no".into()),
            })),
            "POST /v1/checkout/sessions",
            "automatic_tax[enabled]=true&billing_address_collection=required&cancel_url=https://app.example/no&client_reference_id=acme&customer=cus_1&\
             customer_update[address]=auto&customer_update[name]=auto&discounts[0][promotion_code]=promo_1&\
             line_items[0][price]=price_1&line_items[0][quantity]=2&line_items[1][price]=price_m&\
             metadata[subledger_intent]=ONE&mode=subscription&payment_method_collection=if_required&\
             subscription_data[metadata][subledger_intent]=ONE&subscription_data[metadata][tenant_id]=acme&\
             subscription_data[trial_period_days]=14&\
             subscription_data[trial_settings][end_behavior][missing_payment_method]=pause&\
             success_url=https://app.example/ok?session_id={CHECKOUT_SESSION_ID}&tax_id_collection[enabled]=true",
        ),
        (
            Call::ExpireCheckout {
                session: "cs_1".parse().unwrap(),
            },
            "POST /v1/checkout/sessions/cs_1/expire",
            "",
        ),
        (
            Call::OpenPortal(Portal {
                customer: "cus_1".parse().unwrap(),
                return_url: "https://app.example/".into(),
                flow: None,
                configuration: Some("bpc_1".into()),
            }),
            "POST /v1/billing_portal/sessions",
            "configuration=bpc_1&customer=cus_1&return_url=https://app.example/",
        ),
        (
            Call::OpenPortal(Portal {
                customer: "cus_1".parse().unwrap(),
                return_url: "https://app.example/".into(),
                flow: Some(PortalFlow::ConfirmChange {
                    subscription: subscription(),
                    item: "si_1".parse().unwrap(),
                    price: "price_2".parse().unwrap(),
                    quantity: Some(4),
                }),
                configuration: None,
            }),
            "POST /v1/billing_portal/sessions",
            "customer=cus_1&flow_data[after_completion][redirect][return_url]=https://app.example/&\
             flow_data[after_completion][type]=redirect&flow_data[subscription_update_confirm][items][0][id]=si_1&\
             flow_data[subscription_update_confirm][items][0][price]=price_2&\
             flow_data[subscription_update_confirm][items][0][quantity]=4&\
             flow_data[subscription_update_confirm][subscription]=sub_1&flow_data[type]=subscription_update_confirm&\
             return_url=https://app.example/",
        ),
        (
            Call::CreateSubscription(NewSubscription {
                customer: "cus_1".parse().unwrap(),
                tenant: None,
                items: vec![priced("price_1", Some(1))],
                trial_days: Some(7),
                without_card: Some(WithoutCard::Cancel),
                discount: Some(DiscountSource::Coupon("50 OFF".parse().unwrap())),
                payment_method: Some("pm_1".parse().unwrap()),
                automatic_tax: true,
                pays_later: true,
            }),
            "POST /v1/subscriptions",
            "automatic_tax[enabled]=true&customer=cus_1&default_payment_method=pm_1&discounts[0][coupon]=50 OFF&\
             items[0][price]=price_1&items[0][quantity]=1&metadata[subledger_intent]=ONE&payment_behavior=default_incomplete&trial_period_days=7&\
             trial_settings[end_behavior][missing_payment_method]=cancel",
        ),
        (
            Call::ChangeItems(change()),
            "POST /v1/subscriptions/sub_1",
            "items[0][id]=si_1&items[0][price]=price_2&items[0][quantity]=3&items[1][price]=price_3&\
             items[2][deleted]=true&items[2][id]=si_2&metadata[subledger_intent]=ONE&proration_behavior=always_invoice&\
             proration_date=1700000000",
        ),
        (
            Call::Preview {
                customer: "cus_1".parse().unwrap(),
                change: change(),
            },
            "POST /v1/invoices/create_preview",
            "customer=cus_1&subscription=sub_1&subscription_details[items][0][id]=si_1&\
             subscription_details[items][0][price]=price_2&subscription_details[items][0][quantity]=3&\
             subscription_details[items][1][price]=price_3&subscription_details[items][2][deleted]=true&\
             subscription_details[items][2][id]=si_2&subscription_details[proration_behavior]=always_invoice&\
             subscription_details[proration_date]=1700000000",
        ),
        (
            Call::ScheduleCancellation {
                subscription: subscription(),
                at: CancelAt::PeriodEnd,
                because: reason(),
            },
            "POST /v1/subscriptions/sub_1",
            "cancel_at_period_end=true&cancellation_details[comment]=too dear&\
             cancellation_details[feedback]=too_expensive&metadata[subledger_intent]=ONE",
        ),
        (
            Call::ScheduleCancellation {
                subscription: subscription(),
                at: CancelAt::Time(at(9)),
                because: CancelReason::default(),
            },
            "POST /v1/subscriptions/sub_1",
            "cancel_at=9&metadata[subledger_intent]=ONE",
        ),
        (
            Call::WithdrawCancellation {
                subscription: subscription(),
            },
            "POST /v1/subscriptions/sub_1",
            "cancel_at=&metadata[subledger_intent]=ONE",
        ),
        (
            Call::CancelNow {
                subscription: subscription(),
                invoice_now: true,
                prorate: false,
                because: reason(),
            },
            "DELETE /v1/subscriptions/sub_1",
            "cancellation_details[comment]=too dear&cancellation_details[feedback]=too_expensive&invoice_now=true&prorate=false",
        ),
        (
            Call::Resume {
                subscription: subscription(),
                proration: Proration::None,
            },
            "POST /v1/subscriptions/sub_1/resume",
            "proration_behavior=none",
        ),
        (
            Call::Pause {
                subscription: subscription(),
            },
            "POST /v1/subscriptions/sub_1/pause",
            "type=subscription",
        ),
        (
            Call::PauseCollection {
                subscription: subscription(),
                behavior: Uncollected::Void,
                resumes_at: Some(at(9)),
            },
            "POST /v1/subscriptions/sub_1",
            "metadata[subledger_intent]=ONE&pause_collection[behavior]=void&pause_collection[resumes_at]=9",
        ),
        (
            Call::ResumeCollection {
                subscription: subscription(),
            },
            "POST /v1/subscriptions/sub_1",
            "metadata[subledger_intent]=ONE&pause_collection=",
        ),
        (
            Call::ApplyDiscount {
                subscription: subscription(),
                stays: vec!["di_1".into()],
                discount: DiscountSource::Coupon("C".parse().unwrap()),
            },
            "POST /v1/subscriptions/sub_1",
            "discounts[0][discount]=di_1&discounts[1][coupon]=C&metadata[subledger_intent]=ONE",
        ),
        (
            Call::RemoveDiscounts {
                subscription: subscription(),
            },
            "POST /v1/subscriptions/sub_1",
            "discounts=&metadata[subledger_intent]=ONE",
        ),
        (
            Call::SetTrialEnd {
                subscription: subscription(),
                end: TrialEnd::Now,
            },
            "POST /v1/subscriptions/sub_1",
            "metadata[subledger_intent]=ONE&proration_behavior=none&trial_end=now",
        ),
        (
            Call::SetTrialEnd {
                subscription: subscription(),
                end: TrialEnd::Time(at(9)),
            },
            "POST /v1/subscriptions/sub_1",
            "metadata[subledger_intent]=ONE&proration_behavior=none&trial_end=9",
        ),
        (
            Call::StartSchedule {
                subscription: subscription(),
            },
            "POST /v1/subscription_schedules",
            "from_subscription=sub_1",
        ),
        (
            Call::SetPhases {
                schedule: "sub_sched_1".parse().unwrap(),
                phases: vec![
                    Phase {
                        items: vec![priced("price_1", Some(1))],
                        starts_at: Some(at(5)),
                        ends_at: Some(at(9)),
                        proration: Proration::None,
                        trial_ends_at: Some(at(7)),
                        discounts: vec!["di_1".into()],
                    },
                    Phase {
                        items: vec![priced("price_2", Some(2))],
                        starts_at: None,
                        ends_at: None,
                        proration: Proration::CreateProrations,
                        trial_ends_at: None,
                        discounts: Vec::new(),
                    },
                ],
                proration: Proration::AlwaysInvoice,
            },
            "POST /v1/subscription_schedules/sub_sched_1",
            "end_behavior=release&metadata[subledger_intent]=ONE&phases[0][discounts][0][discount]=di_1&phases[0][end_date]=9&\
             phases[0][items][0][price]=price_1&phases[0][items][0][quantity]=1&phases[0][proration_behavior]=none&\
             phases[0][start_date]=5&phases[0][trial_end]=7&phases[1][items][0][price]=price_2&\
             phases[1][items][0][quantity]=2&phases[1][proration_behavior]=create_prorations&proration_behavior=always_invoice",
        ),
        (
            Call::ReleaseSchedule {
                schedule: "sub_sched_1".parse().unwrap(),
            },
            "POST /v1/subscription_schedules/sub_sched_1/release",
            "",
        ),
        (
            Call::PayInvoice {
                invoice: "in_1".parse().unwrap(),
                payment_method: Some("pm_1".parse().unwrap()),
            },
            "POST /v1/invoices/in_1/pay",
            "payment_method=pm_1",
        ),
        (
            Call::Refund {
                payment: Payment::Intent("pi_1".parse().unwrap()),
                amount: Some(Money::try_new(1_234, Currency::parse("eur").unwrap()).unwrap()),
                because: Some(RefundReason::Duplicate),
            },
            "POST /v1/refunds",
            "amount=1234&metadata[subledger_intent]=ONE&payment_intent=pi_1&reason=duplicate",
        ),
        (
            Call::Refund {
                payment: Payment::Charge("ch_1".parse().unwrap()),
                amount: None,
                because: Some(RefundReason::RequestedByCustomer),
            },
            "POST /v1/refunds",
            "charge=ch_1&metadata[subledger_intent]=ONE&reason=requested_by_customer",
        ),
    ]
}

#[tokio::test]
async fn every_call_is_written_as_stripe_reads_it() {
    let server = Loopback::start().await;
    let client = client(&server.base(), TransportKind::Pooled);
    let one = IntentId::new(Uuid::from_u128(1));
    for (call, wanted, form) in rows() {
        // Whether this Stripe knows the object does not matter here.
        let _ = client.call(&OWN, one.into(), &call).await;
        let wire = server.wire().pop().expect("a request");
        assert_eq!(format!("{} {}", wire.method, wire.target), wanted, "{call:?}");
        let decoded = percent_encoding::percent_decode_str(&wire.body.replace('+', " "))
            .decode_utf8()
            .unwrap()
            .into_owned();
        assert_eq!(decoded.replace(ONE, "ONE"), form, "{call:?}");
        // What the outbox keeps comes back as it was.
        let stored = serde_json::to_string(&call).unwrap();
        assert_eq!(serde_json::from_str::<Call>(&stored).unwrap(), call, "{stored}");
    }
}

/// Each list, and how it must be asked for.
fn lists() -> Vec<(Listing, &'static str)> {
    let customer = || "cus_1".parse().unwrap();
    vec![
        (Listing::CustomersSince(at(5)), "/customers?created[gte]=5&limit=100"),
        (
            Listing::Subscriptions(customer()),
            "/subscriptions?customer=cus_1&limit=100&status=all",
        ),
        (
            Listing::Items(subscription()),
            "/subscription_items?limit=100&subscription=sub_1",
        ),
        (
            Listing::Schedules(customer()),
            "/subscription_schedules?customer=cus_1&limit=100",
        ),
        (
            Listing::CheckoutSessions(customer()),
            "/checkout/sessions?customer=cus_1&limit=100",
        ),
        (Listing::Invoices(customer()), "/invoices?customer=cus_1&limit=100"),
        (
            Listing::InvoiceLines("in_1".parse().unwrap()),
            "/invoices/in_1/lines?limit=100",
        ),
        (
            Listing::InvoicePayments("in_1".parse().unwrap()),
            "/invoice_payments?invoice=in_1&limit=100",
        ),
        (Listing::Charges(customer()), "/charges?customer=cus_1&limit=100"),
        (
            Listing::PaymentIntents(customer()),
            "/payment_intents?customer=cus_1&limit=100",
        ),
        (
            Listing::Refunds(Payment::Intent("pi_1".parse().unwrap())),
            "/refunds?limit=100&payment_intent=pi_1",
        ),
        (
            Listing::Refunds(Payment::Charge("ch_1".parse().unwrap())),
            "/refunds?charge=ch_1&limit=100",
        ),
        (
            Listing::CreditNotes(customer()),
            "/credit_notes?customer=cus_1&limit=100",
        ),
        (
            Listing::PaymentMethods(customer()),
            "/customers/cus_1/payment_methods?limit=100",
        ),
        (
            Listing::PromotionCodes("A B".into()),
            "/promotion_codes?code=A B&limit=100",
        ),
        (
            Listing::PayoutTransactions("po_1".parse().unwrap()),
            "/balance_transactions?limit=100&payout=po_1",
        ),
        (
            Listing::TransactionsSince(at(5)),
            "/balance_transactions?created[gte]=5&limit=100",
        ),
        (
            Listing::Events {
                types: vec!["a.b".into(), "c.*".into()],
                since: Some(at(5)),
            },
            "/events?created[gte]=5&limit=100&types[0]=a.b&types[1]=c.*",
        ),
    ]
}

#[tokio::test]
async fn every_question_is_written_as_stripe_reads_it() {
    let server = Loopback::start().await;
    let client = client(&server.base(), TransportKind::Pooled);
    for (list, wanted) in lists() {
        for (page, more) in [
            (Page::Newest, ""),
            (Page::After("x_1".into()), "starting_after=x_1"),
            (Page::Before("x_1".into()), "ending_before=x_1"),
        ] {
            let read = Read::List {
                list: list.clone(),
                page,
            };
            let _ = client.read(&OWN, &read).await;
            let wire = server.wire().pop().expect("a request");
            let target = percent_encoding::percent_decode_str(&wire.target.replace('+', " "))
                .decode_utf8()
                .unwrap()
                .into_owned();
            let (path, query) = target.split_once('?').expect("a query");
            let mut query: Vec<&str> = query.split('&').collect();
            query.sort_unstable();
            let (wanted_path, wanted_query) = wanted.split_once('?').expect("a query");
            let mut wanted_query: Vec<&str> = wanted_query
                .split('&')
                .chain((!more.is_empty()).then_some(more))
                .collect();
            wanted_query.sort_unstable();
            assert_eq!(
                (path, query),
                (format!("/v1{wanted_path}").as_str(), wanted_query),
                "{read:?}"
            );
            assert_eq!((wire.method.as_str(), wire.body.as_str()), ("GET", ""));
        }
    }
    for kind in ObjectKind::ALL {
        let _ = client.read(&OWN, &Read::object(*kind, "x_1")).await;
        let wire = server.wire().pop().expect("a request");
        assert!(
            wire.target.starts_with("/v1/") && wire.target.ends_with("s/x_1"),
            "{kind:?}: {}",
            wire.target
        );
        assert_eq!(ObjectKind::from_word(kind.as_str()), Some(*kind));
    }
    let expanded = Read::Object {
        kind: ObjectKind::Invoice,
        id: "in_1".into(),
        expand: &["payments", "customer"],
    };
    let _ = client.read(&OWN, &expanded).await;
    let target = server.wire().pop().expect("a request").target;
    let target = percent_encoding::percent_decode_str(&target)
        .decode_utf8()
        .unwrap()
        .into_owned();
    assert_eq!(target, "/v1/invoices/in_1?expand[0]=payments&expand[1]=customer");
}
