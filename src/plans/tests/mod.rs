//! The catalogue file: the five ready ones, and every mistake a file can have.

mod mistakes;
mod ready;

use aggregates::ids::PlanCode;
use aggregates::plan::Catalogue;

use super::{BUNDLED, Loaded, PlansError, read};

const FILES: [(&str, &str); 5] = [
    ("per-agent", include_str!("../../../examples/plans/per-agent.toml")),
    ("three-tiers", BUNDLED),
    ("five-tiers", include_str!("../../../examples/plans/five-tiers.toml")),
    ("chatbots", include_str!("../../../examples/plans/chatbots.toml")),
    ("build-hours", include_str!("../../../examples/plans/build-hours.toml")),
];

fn load(text: &str) -> Loaded {
    read(text, "test.toml", &|_| None).unwrap_or_else(|error| panic!("{error}"))
}

fn catalogue(name: &str) -> Catalogue {
    let text = FILES.iter().find(|(file, _)| *file == name).unwrap().1;
    Catalogue::new(1, load(text).terms)
}

fn code(text: &str) -> PlanCode {
    PlanCode::parse(text).unwrap()
}
