//! Finding: events by every filter, tenants, unassigned accounts, invoices.

use aggregates::ids::TenantId;
use aggregates::partition::part_of;
use aggregates::time::Timestamp;
use projections::audit::list::{AuditFilter, list as events};
use projections::db::Db;
use projections::invoices::list::{InvoiceFilter, get as invoice, list as invoices};
use projections::runner::Runner;
use projections::status::list::{TenantFilter, count_tenants, tenants, unassigned};
use subledger::ledger::{Item, Mark, SideRow, append};

use super::follow::{caught_up, runner};
use super::told::{Pen, Told, events_of, open, stream_of, year};
use crate::support::stores;

struct Written {
    told: Vec<Told>,
}

async fn write(db: &Db, runner: &Runner) -> Vec<Written> {
    let mut pen = Pen::default();
    let mut written = Vec::new();
    for n in 0..7 {
        let (name, tenant) = (format!("l{n}"), format!("list-{n}"));
        let tenant = (n < 5).then_some(tenant);
        let told = events_of(&year(&name, tenant.as_deref()), tenant.as_deref());
        for some in told.chunks(6) {
            pen.write(db, &stream_of(&name, tenant.as_deref()), tenant.as_deref(), some)
                .await;
        }
        written.push(Written { told });
    }
    caught_up(db, runner).await;
    written
}

/// All rows of a filter, page by page; every page but the last is full.
async fn all(db: &Db, runner: &Runner, filter: &AuditFilter, limit: u32) -> Vec<(u32, u64)> {
    let mut rows = Vec::new();
    let mut place = None;
    loop {
        let page = events(db, runner.progress(), filter, place.as_ref(), limit)
            .await
            .unwrap();
        rows.extend(page.rows.iter().map(|(part, row)| (*part, row.position)));
        place = page.next;
        match &place {
            None => return rows,
            Some(_) => assert_eq!(page.rows.len(), limit as usize),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one ledger, a filter after the other")]
async fn events_are_found_by_every_filter_and_each_once_over_all_pages() {
    for store in stores().await {
        let db = open(&store).await;
        let runner = runner(&db).await;
        let written = write(&db, &runner).await;
        let total: usize = written.iter().map(|it| it.told.len()).sum();
        let none = AuditFilter::default();
        for limit in [1, 7, 200] {
            let mut found = all(&db, &runner, &none, limit).await;
            assert_eq!(found.len(), total);
            found.sort_unstable();
            found.dedup();
            assert_eq!(found.len(), total, "one event on two pages");
        }
        let page = events(&db, runner.progress(), &none, None, 200).await.unwrap();
        assert!(
            page.rows
                .windows(2)
                .all(|pair| pair[0].1.recorded_at >= pair[1].1.recorded_at),
            "newest first"
        );

        let count = |filter: AuditFilter| {
            let (db, runner) = (&db, &runner);
            async move { all(db, runner, &filter, 50).await.len() }
        };
        let first = &written[0];
        let stream = stream_of("l0", Some("list-0"));
        let part = part_of(&stream, db.parts());
        let by_stream = AuditFilter {
            parts: Some(vec![part]),
            streams: vec![stream.to_string()],
            ..none.clone()
        };
        assert_eq!(count(by_stream).await, first.told.len());
        let by_tenant = AuditFilter {
            tenant: Some("list-0".into()),
            ..none.clone()
        };
        assert_eq!(count(by_tenant.clone()).await, first.told.len());
        let both = AuditFilter {
            streams: vec![stream_of("l6", None).to_string()],
            ..by_tenant
        };
        assert_eq!(count(both).await, first.told.len() + written[6].told.len());
        let named = |name: &str| {
            written
                .iter()
                .flat_map(|it| &it.told)
                .filter(|it| it.event.name() == name)
                .count()
        };
        let by_type = AuditFilter {
            event_type: Some("subscription.invoice_paid".into()),
            ..none.clone()
        };
        assert!(named("invoice_paid") > 0);
        assert_eq!(count(by_type).await, named("invoice_paid"));
        let in_family = written
            .iter()
            .flat_map(|it| &it.told)
            .filter(|it| it.event.family() == "money")
            .count();
        assert_eq!(
            count(AuditFilter {
                family: Some("money".into()),
                ..none.clone()
            })
            .await,
            in_family
        );
        let receipt = &first.told[3].receipt;
        let of_receipt = first.told.iter().filter(|it| it.receipt == *receipt).count();
        assert_eq!(
            count(AuditFilter {
                stripe_event: Some(receipt.clone()),
                ..none.clone()
            })
            .await,
            of_receipt
        );
        assert_eq!(
            count(AuditFilter {
                actor: Some(format!("stripe:{receipt}")),
                ..none.clone()
            })
            .await,
            of_receipt
        );
        assert_eq!(
            count(AuditFilter {
                source: Some("default".into()),
                ..none.clone()
            })
            .await,
            total
        );
        assert_eq!(
            count(AuditFilter {
                source: Some("acct_1".into()),
                ..none.clone()
            })
            .await,
            0
        );
        let one = &page.rows[5].1;
        assert_eq!(
            count(AuditFilter {
                event_id: Some(one.event_id),
                ..none.clone()
            })
            .await,
            1
        );
        let from = AuditFilter {
            from: Some(one.recorded_at),
            ..none.clone()
        };
        let to = AuditFilter {
            to: Some(one.recorded_at),
            ..none.clone()
        };
        assert_eq!(count(from).await + count(to).await, total);
        runner.stop().await;
        db.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one filter after the other")]
async fn a_filter_admits_one_by_one_what_its_statement_finds() {
    for store in stores().await {
        let db = open(&store).await;
        let runner = runner(&db).await;
        write(&db, &runner).await;
        let none = AuditFilter::default();
        let mut rows = Vec::new();
        let mut place = None;
        loop {
            let page = events(&db, runner.progress(), &none, place.as_ref(), 200)
                .await
                .unwrap();
            rows.extend(page.rows);
            place = page.next;
            if place.is_none() {
                break;
            }
        }
        let one = rows[rows.len() / 2].1.clone();
        let stream = stream_of("l6", None);
        let parts = |streams: &[&aggregates::ids::StreamId]| {
            let mut parts: Vec<u32> = streams.iter().map(|stream| part_of(stream, db.parts())).collect();
            parts.sort_unstable();
            parts.dedup();
            Some(parts)
        };
        let own = stream_of("l0", Some("list-0"));
        let text = |text: &str| Some(text.to_owned());
        let filters = [
            none.clone(),
            AuditFilter {
                tenant: text("list-0"),
                ..none.clone()
            },
            AuditFilter {
                tenant: text("list-0"),
                streams: vec![stream.to_string()],
                ..none.clone()
            },
            AuditFilter {
                streams: vec![stream.to_string()],
                parts: parts(&[&stream]),
                ..none.clone()
            },
            AuditFilter {
                stream: text(own.as_str()),
                parts: parts(&[&own]),
                ..none.clone()
            },
            AuditFilter {
                parts: parts(&[&own]),
                ..none.clone()
            },
            AuditFilter {
                parts: Some(Vec::new()),
                ..none.clone()
            },
            AuditFilter {
                event_type: text("subscription.invoice_paid"),
                ..none.clone()
            },
            AuditFilter {
                family: text("money"),
                ..none.clone()
            },
            AuditFilter {
                actor: text(&one.actor),
                ..none.clone()
            },
            AuditFilter {
                stripe_event: one.actor.strip_prefix("stripe:").map(str::to_owned),
                ..none.clone()
            },
            AuditFilter {
                source: text("default"),
                ..none.clone()
            },
            AuditFilter {
                source: text("defaul"),
                ..none.clone()
            },
            AuditFilter {
                event_id: Some(one.event_id),
                ..none.clone()
            },
            AuditFilter {
                from: Some(one.recorded_at),
                ..none.clone()
            },
            AuditFilter {
                to: Some(one.recorded_at),
                tenant: text("list-3"),
                ..none.clone()
            },
        ];
        for filter in filters {
            let mut found = all(&db, &runner, &filter, 200).await;
            let admitted = rows.iter().filter(|(part, row)| filter.matches(*part, row));
            let mut admitted: Vec<(u32, u64)> = admitted.map(|(part, row)| (*part, row.position)).collect();
            found.sort_unstable();
            admitted.sort_unstable();
            assert_eq!(found, admitted, "{filter:?} on {:?}", store.kind);
        }
        runner.stop().await;
        db.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_are_found_by_names_of_any_script() {
    for store in stores().await {
        let db = open(&store).await;
        let runner = runner(&db).await;
        write(&db, &runner).await;
        for (n, name) in ["Änne & Söhne", "Ёлка", "100 % Plain"].into_iter().enumerate() {
            let stream = stream_of(&format!("l{n}"), Some(&format!("list-{n}")));
            let part = part_of(&stream, db.parts());
            let mut item = Item::new(Mark {
                source: "test".to_owned(),
                key: name.to_owned(),
                request_hash: None,
            });
            item.sides.push(SideRow::TenantProfile {
                tenant: TenantId::parse(&format!("list-{n}")).unwrap(),
                stream,
                name: Some(name.to_owned()),
                email: None,
                currency: None,
                metadata: "{}".to_owned(),
            });
            append(&db, part, vec![item], Timestamp::from_micros(1).unwrap())
                .await
                .unwrap();
        }
        let found = [("Änne", 1), ("Söhne", 1), ("Ёлка", 1), ("plain", 1), ("PLAIN", 1)];
        let literal = [("0 % p", 1), ("%", 1), ("Anne", 0), ("u_l", 0)];
        for (q, found) in found.into_iter().chain(literal) {
            let filter = TenantFilter {
                q: Some(q.into()),
                ..TenantFilter::default()
            };
            let listed = tenants(&db, runner.progress(), &filter, None, 50).await.unwrap();
            assert_eq!(listed.len(), found, "{q} on {:?}", store.kind);
        }
        runner.stop().await;
        db.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one ledger, a list after the other")]
async fn accounts_and_invoices_are_listed_in_pages() {
    for store in stores().await {
        let db = open(&store).await;
        let runner = runner(&db).await;
        write(&db, &runner).await;
        let progress = runner.progress();
        let filter = TenantFilter::default();
        let page = tenants(&db, progress, &filter, None, 3).await.unwrap();
        let names = |page: &[projections::status::list::Listed]| -> Vec<String> {
            page.iter()
                .map(|it| it.row.book.account.tenant.as_ref().unwrap().to_string())
                .collect()
        };
        assert_eq!(names(&page), ["list-0", "list-1", "list-2"]);
        let rest = tenants(&db, progress, &filter, Some(("list-2", &page[2].stream)), 3)
            .await
            .unwrap();
        assert_eq!(names(&rest), ["list-3", "list-4"]);
        assert_eq!(count_tenants(&db, progress, &filter, 100).await.unwrap(), 5);
        assert_eq!(count_tenants(&db, progress, &filter, 3).await.unwrap(), 3);
        for (q, found) in [("LIST-3", 1), ("cus_l2", 1), ("list%", 0), ("nobody", 0)] {
            let filter = TenantFilter {
                q: Some(q.into()),
                ..TenantFilter::default()
            };
            assert_eq!(
                tenants(&db, progress, &filter, None, 50).await.unwrap().len(),
                found,
                "{q}"
            );
        }
        for (status, plan, found) in [("active", "team", 5), ("active", "pro", 0), ("canceled", "team", 0)] {
            let filter = TenantFilter {
                q: None,
                status: Some(status.into()),
                plan: Some(plan.into()),
            };
            assert_eq!(
                tenants(&db, progress, &filter, None, 50).await.unwrap().len(),
                found,
                "{status} {plan}"
            );
        }

        let alone = unassigned(&db, progress, None, 1).await.unwrap();
        assert_eq!(alone[0].account.stream, "cus_l5");
        assert!(alone[0].money[0].paid_minor > 0 && alone[0].money[0].currency == "USD");
        let after = (alone[0].account.row.first_seen_at, "cus_l5");
        let next = unassigned(&db, progress, Some(after), 5).await.unwrap();
        assert_eq!(
            next.iter().map(|it| it.account.stream.as_str()).collect::<Vec<_>>(),
            ["cus_l6"]
        );

        let stream = stream_of("l1", Some("list-1"));
        let account = (part_of(&stream, db.parts()), stream.as_str());
        let whole = invoices(&db, progress, account, &InvoiceFilter::default(), None, 100)
            .await
            .unwrap()
            .value;
        assert!(whole.len() >= 4);
        let made: Vec<Timestamp> = whole
            .iter()
            .map(|(_, row)| row.book.invoice.terms().unwrap().created_at)
            .collect();
        assert!(made.windows(2).all(|pair| pair[0] >= pair[1]), "newest first");
        let after = Some((made[1], whole[1].0.as_str()));
        let rest = invoices(&db, progress, account, &InvoiceFilter::default(), after, 100)
            .await
            .unwrap()
            .value;
        assert_eq!(rest, whole[2..]);
        let open_ones = InvoiceFilter {
            status: Some("open".into()),
            ..InvoiceFilter::default()
        };
        assert_eq!(
            invoices(&db, progress, account, &open_ones, None, 100)
                .await
                .unwrap()
                .value,
            []
        );
        let one = invoice(&db, progress, account, &whole[0].0).await.unwrap().value;
        assert_eq!(one.as_ref(), Some(&whole[0].1));
        assert_eq!(invoice(&db, progress, account, "in_unknown").await.unwrap().value, None);
        runner.stop().await;
        db.close().await;
    }
}
