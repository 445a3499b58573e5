//! Events as text (html.spec.whatwg.org, "Server-sent events"): fields of one line each, ended by an empty line.

use axum::body::Bytes;

/// What clients wait before they come back, in milliseconds.
const RETRY_MILLIS: u32 = 3_000;

/// The first thing sent: how long to wait before coming back, and where this stream begins, so that who is cut off
/// before the first event misses nothing.
#[must_use]
pub fn greeting(id: Option<&str>) -> Bytes {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("retry: {RETRY_MILLIS}\n{id}\n").into()
}

/// An event. `data` is JSON, which has no line ends of its own.
#[must_use]
pub fn event(id: Option<&str>, name: &str, data: &str) -> Bytes {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("event: {name}\n{id}data: {data}\n\n").into()
}

/// A sign of life that also says how far the stream is: without data it is no event to its reader.
#[must_use]
pub fn alive(id: Option<&str>) -> Bytes {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!(": alive\n{id}\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_on_lines_and_an_empty_one_ends_them() {
        assert_eq!(greeting(Some("1.2")), "retry: 3000\nid: 1.2\n\n");
        assert_eq!(event(Some("1.2"), "x", "{}"), "event: x\nid: 1.2\ndata: {}\n\n");
        assert_eq!(event(None, "x", "{}"), "event: x\ndata: {}\n\n");
        assert_eq!(alive(None), ": alive\n\n");
    }
}
