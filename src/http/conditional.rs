//! ETag, If-None-Match and If-Match: a version is a text between quotes, compared byte for byte.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::problem::{Answer, Problem, ProblemKind};

/// The version of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Etag(String);

impl Etag {
    /// From anything that changes with the resource and only then.
    #[must_use]
    pub fn new(version: impl std::fmt::Display) -> Self {
        Self(format!("\"{version}\""))
    }

    /// The header's value.
    #[must_use]
    pub fn value(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static("\"\""))
    }

    fn is_in(&self, headers: &HeaderMap, name: header::HeaderName) -> bool {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let tags = values.flat_map(|value| value.split(','));
        tags.map(str::trim)
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.0)
    }

    /// The answer of a GET: 304 without a body when the caller has this version.
    pub fn answer(&self, headers: &HeaderMap, cache: &'static str, body: impl FnOnce() -> Response) -> Response {
        let mut response = if self.is_in(headers, header::IF_NONE_MATCH) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            body()
        };
        response.headers_mut().insert(header::ETAG, self.value());
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        response
    }

    /// Refuses a change of another version than the one named by If-Match, if one is named.
    pub fn check(&self, headers: &HeaderMap) -> Answer<()> {
        if headers.contains_key(header::IF_MATCH) && !self.is_in(headers, header::IF_MATCH) {
            let detail = "the object has another version than If-Match names";
            return Err(Problem::new(ProblemKind::VersionConflict, detail).with("current", self.0.trim_matches('"')));
        }
        Ok(())
    }
}

/// Refuses creation of what exists when the caller said `If-None-Match: *`.
pub fn check_creation(headers: &HeaderMap, exists: Option<&Etag>) -> Answer<()> {
    let only_new = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value == "*");
    match exists {
        Some(etag) if only_new => {
            let detail = "the object exists already, and If-None-Match: * asks for a new one";
            Err(Problem::new(ProblemKind::VersionConflict, detail).with("current", etag.0.trim_matches('"')))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_known_version_is_not_sent_again() {
        let etag = Etag::new(7);
        for (value, status) in [
            ("\"7\"", 304),
            ("W/\"7\"", 304),
            ("\"6\", \"7\"", 304),
            ("*", 304),
            ("\"8\"", 200),
            ("7", 200),
        ] {
            let answer = etag.answer(&headers(header::IF_NONE_MATCH, value), "no-cache", || {
                "body".into_response()
            });
            assert_eq!(answer.status().as_u16(), status, "{value}");
            assert_eq!(answer.headers()["etag"], "\"7\"");
        }
    }

    #[test]
    fn a_change_of_an_old_version_is_refused() {
        let etag = Etag::new(7);
        assert!(etag.check(&HeaderMap::new()).is_ok());
        assert!(etag.check(&headers(header::IF_MATCH, "\"7\"")).is_ok());
        let refused = etag.check(&headers(header::IF_MATCH, "\"6\"")).unwrap_err();
        assert_eq!(
            (refused.kind, &refused.extensions["current"]),
            (ProblemKind::VersionConflict, &"7".into())
        );
        assert!(check_creation(&headers(header::IF_NONE_MATCH, "*"), Some(&etag)).is_err());
        assert!(check_creation(&headers(header::IF_NONE_MATCH, "*"), None).is_ok());
    }
}
