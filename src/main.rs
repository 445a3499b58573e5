//! The `subledger` binary.

fn main() {}
