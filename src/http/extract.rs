//! Bodies, queries and path parameters, each read under its limit and refused with the place of the fault.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::problem::{Answer, Problem, ProblemKind};
use super::shape;

/// Largest JSON body: every request of the interface fits in a tenth of it.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Largest webhook: Stripe's own objects stay below 256 kB.
pub const WEBHOOK_BYTES_MAX: usize = 1024 * 1024;
/// Longest a body may take to arrive.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(15);

/// Reads the raw bytes of a body of at most `bytes_max`, in at most [`BODY_TIME_MAX`].
pub async fn read_body(request: Request, bytes_max: usize) -> Answer<Bytes> {
    read_body_in(request, bytes_max, BODY_TIME_MAX).await
}

async fn read_body_in(request: Request, bytes_max: usize, time_max: Duration) -> Answer<Bytes> {
    let headers = request.headers();
    let too_large = || {
        Problem::new(
            ProblemKind::PayloadTooLarge,
            format!("the body is larger than {bytes_max} bytes"),
        )
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    if announced
        .and_then(|text| text.parse::<usize>().ok())
        .is_some_and(|length| length > bytes_max)
    {
        return Err(too_large());
    }
    let body = Limited::new(request.into_body(), bytes_max);
    match tokio::time::timeout(time_max, body.collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::malformed("the body broke off")),
        Err(_) => Err(Problem::malformed(format!(
            "the body did not arrive in {} s",
            time_max.as_secs()
        ))),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = value.and_then(|value| value.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

/// A JSON body, with its bytes for the fingerprint of an idempotency key.
#[derive(Debug)]
pub struct Body<T> {
    /// The value.
    pub value: T,
    /// What was sent.
    pub bytes: Bytes,
}

/// Reads JSON text: syntax faults are 400, everything else about the content 422 with a pointer.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Answer<T> {
    shape::measure(bytes)?;
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok() {
        return Err(Problem::invalid("", "the body is an array; send an object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value: T = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let inner = error.inner();
        let place = format!("line {} column {}", inner.line(), inner.column());
        if inner.is_data() {
            let pointer = pointer(error.path());
            let words = inner.to_string();
            let words = words.split(" at line ").next().unwrap_or_default().to_owned();
            Problem::new(ProblemKind::ValidationFailed, format!("{words} ({place})")).at(pointer, words)
        } else {
            Problem::malformed(format!("the body is not JSON: see {place}"))
        }
    })?;
    reader
        .end()
        .map_err(|_| Problem::malformed("the body holds more than one JSON value"))?;
    Ok(value)
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let segment = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => String::new(),
    };
    path.iter().map(segment).collect()
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let encoding = request.headers().get(header::CONTENT_ENCODING);
        if encoding.is_some_and(|value| value != "identity") {
            let detail = "the body is encoded; send it without Content-Encoding";
            return Err(Problem::new(ProblemKind::UnsupportedMediaType, detail));
        }
        if !is_json(request.headers()) {
            let detail = "send the body with Content-Type: application/json";
            return Err(Problem::new(ProblemKind::UnsupportedMediaType, detail));
        }
        let bytes = read_body(request, BODY_BYTES_MAX).await?;
        Ok(Self {
            value: parse_json(&bytes)?,
            bytes,
        })
    }
}

/// Query parameters as a struct.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let parsed = Query::<T>::try_from_uri(&parts.uri);
        parsed
            .map(|Query(value)| Self(value))
            .map_err(|error| unreadable(&words_of(&error.body_text())))
    }
}

/// Path parameters. What cannot be an id of anything answers like an id that nothing has.
#[derive(Debug)]
pub struct Ids<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Ids<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if parts.uri.path().contains("%00") {
            return Err(Problem::not_found());
        }
        let parsed = Path::<T>::from_request_parts(parts, state).await;
        parsed.map(|Path(value)| Self(value)).map_err(|_| Problem::not_found())
    }
}

/// A parameter that cannot be read; the reader says its name first, where it has one.
fn unreadable(words: &str) -> Problem {
    let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    match words.split_once(": ") {
        Some((name, rule)) if is_name(name) => Problem::malformed(words).at(format!("?{name}"), rule),
        _ => Problem::malformed(words),
    }
}

/// The extractor's own words without their preamble.
fn words_of(text: &str) -> String {
    let text = text
        .strip_prefix("Failed to deserialize query string: ")
        .unwrap_or(text);
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "only its reading is looked at")]
        name: String,
        #[serde(default)]
        #[expect(dead_code, reason = "only its reading is looked at")]
        inner: Vec<u8>,
    }

    #[test]
    fn faults_are_told_by_place_and_kind() {
        assert!(parse_json::<Sample>(br#"{"name":"a"}"#).is_ok());
        for (body, kind, pointer) in [
            (r#"{"name":"a""#, ProblemKind::MalformedRequest, ""),
            (r#"{"name":"a"} {}"#, ProblemKind::MalformedRequest, ""),
            ("", ProblemKind::MalformedRequest, ""),
            (r#"{"name":1}"#, ProblemKind::ValidationFailed, "/name"),
            (
                r#"{"name":"a","inner":[1,256]}"#,
                ProblemKind::ValidationFailed,
                "/inner/1",
            ),
            (r#"{"name":"a","x":1}"#, ProblemKind::ValidationFailed, "/x"),
            (r#"{"name":"a","name":"b"}"#, ProblemKind::ValidationFailed, ""),
            (r#"[]"#, ProblemKind::ValidationFailed, ""),
        ] {
            let problem = parse_json::<Sample>(body.as_bytes()).unwrap_err();
            assert_eq!(problem.kind, kind, "{body}: {problem:?}");
            if !pointer.is_empty() {
                assert_eq!(problem.errors[0].pointer, pointer, "{body}");
            }
        }
    }

    #[tokio::test]
    async fn a_body_that_does_not_end_is_given_up() {
        let begun = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{"))]);
        let body = futures::StreamExt::chain(begun, futures::stream::pending());
        let request = Request::new(axum::body::Body::from_stream(body));
        let read = read_body_in(request, BODY_BYTES_MAX, Duration::from_millis(20)).await;
        assert!(read.is_err_and(|problem| problem.detail.starts_with("the body did not arrive")));
    }

    #[tokio::test]
    async fn bodies_hold_their_limit_one_under_at_and_one_over() {
        for limit in [BODY_BYTES_MAX, WEBHOOK_BYTES_MAX] {
            for (length, fits) in [(limit - 1, true), (limit, true), (limit + 1, false)] {
                for announced in [true, false] {
                    let mut request = Request::new(axum::body::Body::from(vec![b' '; length]));
                    if announced {
                        request
                            .headers_mut()
                            .insert("content-length", HeaderValue::from(length));
                    }
                    let read = read_body(request, limit).await;
                    assert_eq!(read.is_ok(), fits, "{length}");
                    assert!(fits || read.is_err_and(|problem| problem.kind == ProblemKind::PayloadTooLarge));
                }
            }
        }
        for (name, value) in [("content-encoding", "gzip"), ("content-type", "text/plain")] {
            let mut request = Request::new(axum::body::Body::from("{}"));
            request
                .headers_mut()
                .insert("content-type", HeaderValue::from_static("application/json"));
            request.headers_mut().insert(name, HeaderValue::from_static(value));
            let read = Body::<serde_json::Value>::from_request(request, &()).await;
            assert_eq!(read.unwrap_err().kind, ProblemKind::UnsupportedMediaType);
        }
    }
}
