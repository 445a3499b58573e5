//! Who plays in the demo: seven tenants on the bundled catalogue, in three eras of Stripe's shapes.

use super::story::{Era, Price, Story};

/// Monthly price of the plan `team`.
pub const TEAM: Price = Price {
    id: "price_team_month",
    product: "prod_team",
    unit_minor: 9_900,
    interval: "month",
};
/// Yearly price of the plan `team`.
pub const TEAM_YEAR: Price = Price {
    id: "price_team_year",
    product: "prod_team",
    unit_minor: 95_000,
    interval: "year",
};
/// Monthly price of the plan `enterprise`.
pub const ENTERPRISE: Price = Price {
    id: "price_enterprise_month",
    product: "prod_enterprise",
    unit_minor: 49_900,
    interval: "month",
};

/// How long the stories go back, in days: the longest runs three renewals after a trial.
const DAYS_BACK: i64 = 120;

/// One tenant of the demo.
pub struct Part {
    /// Its id; `None`: Stripe does not say who it is, and somebody has to assign it.
    pub tenant: Option<&'static str>,
    /// What happened, in one line.
    pub plot: &'static str,
    /// The shapes its webhooks come in.
    pub era: Era,
    /// Its history.
    pub story: Story,
}

/// Everybody, with histories that end shortly before `now` (seconds).
#[must_use]
pub fn everybody(now: i64) -> Vec<Part> {
    let start = now - DAYS_BACK * 86_400;
    let part = |tenant, plot, era, story| Part {
        tenant: Some(tenant),
        plot,
        era,
        story,
    };
    vec![
        part(
            "aurora",
            "took a trial, paid, renewed three times",
            Era::Acacia,
            trial_to_paid(start),
        ),
        part(
            "borealis",
            "upgraded from Team to Enterprise",
            Era::Basil,
            upgraded(start),
        ),
        part(
            "cascade",
            "went from 3 to 8 seats, then to 5",
            Era::Endive,
            seats(start),
        ),
        part(
            "delta",
            "a payment failed and was recovered two days later",
            Era::Acacia,
            recovered(start),
        ),
        part(
            "ember",
            "a payment failed and is still open",
            Era::Basil,
            overdue(start, now),
        ),
        part(
            "fjord",
            "canceled at the end of the period",
            Era::Endive,
            canceled(start),
        ),
        part("glacier", "disputed a charge and lost", Era::Basil, disputed(start)),
        Part {
            tenant: None,
            plot: "paid by a customer nobody has assigned to a tenant yet",
            era: Era::Acacia,
            story: unassigned(start),
        },
    ]
}

fn trial_to_paid(start: i64) -> Story {
    let mut story = Story::new("demo_aurora", Some("aurora"), start);
    story
        .add_card()
        .seconds(30)
        .subscribe(TEAM, 1, 14)
        .days(14)
        .end_trial()
        .days(30)
        .renew()
        .days(30)
        .renew();
    story.days(30).renew();
    story
}

fn upgraded(start: i64) -> Story {
    let mut story = Story::new("demo_borealis", Some("borealis"), start);
    story
        .add_card()
        .subscribe(TEAM, 1, 0)
        .days(30)
        .renew()
        .days(10)
        .change_plan(ENTERPRISE)
        .days(20)
        .renew();
    story
}

fn seats(start: i64) -> Story {
    let mut story = Story::new("demo_cascade", Some("cascade"), start);
    story
        .add_card()
        .subscribe(TEAM, 3, 0)
        .days(12)
        .set_quantity(8)
        .days(18)
        .renew()
        .days(5)
        .set_quantity(5);
    story
}

fn recovered(start: i64) -> Story {
    let mut story = Story::new("demo_delta", Some("delta"), start);
    story
        .add_card()
        .subscribe(TEAM, 1, 0)
        .days(30)
        .renew_unpaid()
        .days(2)
        .recover()
        .days(28)
        .renew();
    story
}

/// Its last payment failed three days ago, so that it is in grace now.
fn overdue(start: i64, now: i64) -> Story {
    let begin = now - 33 * 86_400;
    let mut story = Story::new("demo_ember", Some("ember"), begin.max(start));
    story.add_card().subscribe(TEAM, 2, 0).days(30).renew_unpaid();
    story
}

fn canceled(start: i64) -> Story {
    let mut story = Story::new("demo_fjord", Some("fjord"), start);
    story
        .add_card()
        .subscribe(TEAM, 1, 0)
        .days(30)
        .renew()
        .days(3)
        .cancel_at_period_end()
        .days(27)
        .run_out();
    story
}

fn disputed(start: i64) -> Story {
    let mut story = Story::new("demo_glacier", Some("glacier"), start);
    story
        .add_card()
        .subscribe(TEAM_YEAR, 1, 0)
        .days(20)
        .dispute()
        .days(40)
        .close_dispute(false);
    story
}

fn unassigned(start: i64) -> Story {
    let mut story = Story::new("demo_unknown", None, start);
    story.add_card().subscribe(TEAM, 1, 0).days(30).renew();
    story
}

#[cfg(test)]
mod tests {
    use super::*;
    use aggregates::ids::PriceId;
    use aggregates::plan::Catalogue;

    #[test]
    fn every_price_of_the_demo_is_a_price_of_the_bundled_catalogue() {
        let loaded = crate::plans::read(crate::plans::BUNDLED, "bundled", &|_| None).unwrap();
        let catalogue = Catalogue::new(1, loaded.terms);
        for price in [TEAM, TEAM_YEAR, ENTERPRISE] {
            let (_, terms) = catalogue.plan_of_price(&PriceId::parse(price.id).unwrap()).unwrap();
            assert_eq!(
                (terms.amount_minor, terms.interval.as_str()),
                (price.unit_minor, price.interval),
                "{}",
                price.id
            );
        }
    }

    #[test]
    fn no_story_runs_into_the_future() {
        let now = 1_800_000_000;
        for part in everybody(now) {
            assert!(part.story.now() <= now, "{}", part.plot);
            assert!(part.story.events().len() >= 5, "{}", part.plot);
        }
    }
}
