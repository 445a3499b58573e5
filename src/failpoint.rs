//! Places where a test may stop the process, and planted faults; see `projections::failpoint`.

pub use projections::failpoint::{FAILPOINTS, MUTANTS, mutant, reach};
