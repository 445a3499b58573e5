//! The suite: every test that goes through a store, a server or the whole repository.

mod http;
mod oracles;
mod support;
mod tidy;
