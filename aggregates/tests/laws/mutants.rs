//! Each planted fault is found by the law that guards against it.

use aggregates::mutant::{Mutant, planted};

use super::convergence::{converges, every_order_converges};
use super::histories::all;
use super::intents;
use super::registers::counterexample;

fn found_by_orders(mutant: Mutant) -> bool {
    planted(mutant, || all().iter().any(|history| converges(history, 500).is_err()))
}

#[test]
fn without_faults_the_laws_hold() {
    assert!(all().iter().all(|history| converges(history, 50).is_ok()));
    assert_eq!(counterexample(200), None);
}

#[test]
fn a_later_arrival_that_wins_ties_is_found() {
    assert!(found_by_orders(Mutant::LastArrivalWinsTies));
    assert!(planted(Mutant::LastArrivalWinsTies, || counterexample(2_000).is_some()));
}

#[test]
fn an_end_that_is_revived_is_found() {
    assert!(planted(Mutant::TerminalRevived, || counterexample(2_000).is_some()));
    // All orders agree with each other, but not with where the history must end.
    let revived = planted(Mutant::TerminalRevived, || {
        let history = all()
            .into_iter()
            .find(|history| history.name == "terminal_in_the_middle")
            .unwrap();
        let outcome = super::convergence::deliver(&history.told);
        super::convergence::standing(&outcome.state).access != history.ends.1
    });
    assert!(revived);
}

#[test]
fn a_confirmation_that_is_skipped_is_found() {
    assert!(found_by_orders(Mutant::ConfirmationSkipped));
}

#[test]
fn a_past_that_is_not_asked_is_found() {
    let wrong = planted(Mutant::PastIgnored, || counterexample(2_000).is_some());
    assert!(wrong);
}

#[test]
fn an_unknown_field_that_erases_is_found() {
    assert!(planted(Mutant::UnknownErases, || counterexample(2_000).is_some()));
}

#[test]
fn a_late_fact_without_its_name_is_found() {
    assert!(found_by_orders(Mutant::LateFactUnnamed));
}

#[test]
fn all_orders_find_ties_too() {
    let found = planted(Mutant::LastArrivalWinsTies, || {
        all().iter().any(|history| every_order_converges(history).is_err())
    });
    assert!(found);
}

#[test]
fn an_echo_that_swallows_its_snapshot_is_found() {
    assert!(planted(Mutant::EchoSwallows, intents::swallowed));
}

#[test]
fn a_foreign_change_that_confirms_is_found() {
    assert!(planted(Mutant::ForeignConfirms, intents::counterexample).is_some());
}

#[test]
fn an_effect_that_is_a_final_word_too_early_is_found() {
    assert!(planted(Mutant::EffectIsFinal, intents::final_word_broken).is_some());
}

#[test]
fn quantities_that_are_not_merged_are_found() {
    let (_, _, waiting) = planted(Mutant::QuantitiesStay, || intents::clicks(1));
    assert!(waiting > 1);
}

#[test]
fn settled_intents_that_stay_are_found() {
    let kept = planted(Mutant::IntentsKept, intents::kept_most);
    assert!(kept > aggregates::subscription::state::SETTLED_KEPT_MAX);
}
