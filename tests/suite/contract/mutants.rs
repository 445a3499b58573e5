//! Each planted fault is switched on and must turn its named test red: a test that cannot fail proves nothing.

use std::process::Command;

use projections::failpoint::MUTANTS;

use crate::support::{figure, postgres, skipped, strace};

/// What this machine must have for a fault to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// The fault lies in Postgres code only.
    Postgres,
    /// The fault shows on a disk that loses or fails.
    Strace,
}

impl Needs {
    fn are_met(self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Postgres => postgres::shared_server().is_some(),
            Self::Strace => strace::available(),
        }
    }
}

/// Which test catches which planted fault.
const CAUGHT: &[(&str, &str, Needs)] = &[
    (
        "ack-before-commit",
        "contract::keys::another_request_under_a_used_key_is_refused",
        Needs::Postgres,
    ),
    (
        "skip-inbox-mark",
        "contract::keys::a_key_with_nothing_to_record_is_remembered_too",
        Needs::Nothing,
    ),
    (
        "position-taken-early",
        "contract::racing::a_reader_beside_sixteen_writers_sees_every_position_once",
        Needs::Postgres,
    ),
    (
        "conflict-is-success",
        "contract::append::a_conflict_is_reported_and_nothing_of_the_loser_is_recorded",
        Needs::Nothing,
    ),
    (
        "retry-without-key",
        "contract::append::a_lost_answer_to_commit_is_asked_again_under_its_key",
        Needs::Postgres,
    ),
    (
        "savepoint-leak",
        "contract::append::a_failing_append_harms_none_of_those_that_commit_with_it",
        Needs::Nothing,
    ),
    (
        "key-reuse-ignored",
        "contract::keys::another_request_under_a_used_key_is_refused",
        Needs::Nothing,
    ),
    (
        "events-updatable",
        "contract::laws::opening::the_log_is_append_only",
        Needs::Nothing,
    ),
    (
        "full-is-bug",
        "contract::laws::opening::a_full_disk_refuses_writes_and_keeps_reads",
        Needs::Nothing,
    ),
    (
        "hash-without-lengths",
        "contract::append::moving_a_byte_over_a_border_of_fields_changes_the_hash",
        Needs::Nothing,
    ),
    (
        "lock-file-ignored",
        "contract::append::a_second_process_on_the_sqlite_file_is_refused_by_name",
        Needs::Nothing,
    ),
    (
        "checkpoint-without-compare",
        "views::race::a_worker_that_was_overtaken_writes_nothing",
        Needs::Nothing,
    ),
    (
        "late-snapshot-skipped",
        "flows::convergence::every_order_of_six_events_ends_alike_on_sqlite",
        Needs::Nothing,
    ),
    (
        "settle-before-append",
        "flows::failpoints::a_kill_inside_an_append_loses_nothing",
        Needs::Nothing,
    ),
    (
        "stale-fence-accepted",
        "contract::work::a_worker_that_lost_its_lease_cannot_settle_an_effect",
        Needs::Nothing,
    ),
    (
        "synchronous-normal",
        "flows::powercut::what_was_acknowledged_survives_a_power_cut",
        Needs::Strace,
    ),
    (
        "failed-sync-trusted",
        "flows::powercut::nothing_is_built_on_what_a_failed_sync_may_have_lost",
        Needs::Strace,
    ),
    (
        "failed-sync-survived",
        "flows::disk_faults::a_failed_sync_ends_the_process_which_says_what_to_do_and_loses_nothing",
        Needs::Strace,
    ),
];

/// Runs one test of this binary with a planted fault; answers whether it failed, and what it printed.
fn fails(test: &str, mutant: &str) -> (bool, String) {
    let output = Command::new(std::env::current_exe().expect("this test binary"))
        .args(["--exact", test, "--test-threads", "1"])
        .env("SUBLEDGER_MUTANT", mutant)
        .env_remove("SUBLEDGER_SKIPPED_FILE")
        .env_remove("SUBLEDGER_FIGURES_FILE")
        .env_remove("NEXTEST_RUN_ID")
        .envs(postgres::shared_server().map(|url| ("TEST_DATABASE_URL", url)))
        .output()
        .expect("this test binary");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("running 0 tests"), "no test is called {test}");
    (!output.status.success(), text)
}

#[test]
fn every_planted_fault_turns_its_named_test_red() {
    let mut survived = Vec::new();
    let mut caught = 0;
    for (mutant, test, needs) in CAUGHT {
        if !needs.are_met() {
            skipped(&format!("planted fault {mutant}: it needs {needs:?}"));
            continue;
        }
        let (failed, text) = fails(test, mutant);
        caught += usize::from(failed);
        if !failed {
            survived.push(format!("{mutant} survived {test}:\n{text}"));
        }
    }
    assert!(survived.is_empty(), "{}", survived.join("\n"));
    figure(&format!(
        "planted faults: {caught} of {caught} turned their named test red"
    ));
}

#[test]
fn every_planted_fault_has_a_test() {
    let untested: Vec<&str> = MUTANTS
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !CAUGHT.iter().any(|(caught, ..)| caught == name))
        .collect();
    assert!(untested.is_empty(), "name the test that catches {untested:?} in CAUGHT");
}
