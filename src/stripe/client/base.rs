//! The one address that is ever called.

use std::net::Ipv4Addr;

/// The base of Stripe's API: scheme, host and path, ending in a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiBase {
    text: String,
    https: bool,
}

/// The text is not a base that may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaseError {
    /// Not a URL of a host.
    #[error("must be a URL such as https://api.stripe.com/, without user, query and fragment")]
    NoUrl,
    /// Plain HTTP to somewhere else.
    #[error("must be an https URL; plain http is for loopback addresses only")]
    Plain,
}

/// The host is this machine.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "[::1]") || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

impl ApiBase {
    /// Takes a base; a slash is added where it lacks one.
    pub fn parse(text: &str) -> Result<Self, BaseError> {
        let text = if text.ends_with('/') {
            text.to_owned()
        } else {
            format!("{text}/")
        };
        let uri: hyper::Uri = text.parse().map_err(|_| BaseError::NoUrl)?;
        let authority = uri.authority().ok_or(BaseError::NoUrl)?;
        // A host of its own, so that no path or user part can move the request elsewhere.
        if authority.as_str().contains('@') || authority.host().is_empty() || text.contains(['?', '#', '\\']) {
            return Err(BaseError::NoUrl);
        }
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if is_loopback(authority.host()) => false,
            Some("http") => return Err(BaseError::Plain),
            _ => return Err(BaseError::NoUrl),
        };
        Ok(Self { text, https })
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Stripe itself, and not a stand-in.
    #[must_use]
    pub fn is_stripe(&self) -> bool {
        self.text == "https://api.stripe.com/"
    }

    /// TLS is spoken there.
    #[must_use]
    pub const fn is_https(&self) -> bool {
        self.https
    }

    /// The address of a path that begins with a slash, below version 1.
    pub(super) fn below(&self, path: &str, query: Option<&str>) -> String {
        match query {
            Some(query) => format!("{}v1{path}?{query}", self.text),
            None => format!("{}v1{path}", self.text),
        }
    }
}
