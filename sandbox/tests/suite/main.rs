//! The sandbox, asked as a client would: without sockets where they do not matter, over HTTP where they do.

mod calls;
mod support;
