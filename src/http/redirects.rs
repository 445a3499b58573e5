//! Where Stripe's pages may send people back to: a path of the front end, or an address whose origin is on the list.
//!
//! Nothing else: a page of ours that sends people anywhere would lend its good name to whoever asks. Addresses are only
//! compared and passed on; the service never fetches them.

use axum::http::Uri;

use super::problem::{Answer, Problem};

/// Longest address.
pub const REDIRECT_CHARS_MAX: usize = 2_048;
/// What Stripe replaces by the id of a checkout session.
const SESSION: &str = "session_id={CHECKOUT_SESSION_ID}";

/// The allow-list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirects {
    /// The front end that paths are joined to, without a slash at the end; none: paths need one.
    pub frontend: Option<String>,
    /// Origins, as [`origin_of`] writes them.
    pub origins: Vec<String>,
}

/// Scheme, host and port of an http address, as they are compared: lower case, the default port left out. Nothing for
/// what is no such address, or hides something: a user, a backslash, a space, a control character.
#[must_use]
pub fn origin_of(address: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '\\' | '<' | '>' | '"' | '`' | '^' | '|');
    if address.len() > REDIRECT_CHARS_MAX || !address.chars().all(is_plain) {
        return None;
    }
    // The braces of Stripe's placeholder are no part of an address to the parser.
    let uri: Uri = address.replace(['{', '}'], "").parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let authority = uri.authority()?;
    if !matches!(scheme.as_str(), "http" | "https") || authority.as_str().contains('@') {
        return None;
    }
    let host = authority.host().to_ascii_lowercase();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if host.is_empty() || !host.chars().all(is_name) {
        return None;
    }
    let after_host = authority.as_str().get(authority.host().len()..)?;
    let port = match after_host.strip_prefix(':') {
        None if after_host.is_empty() => None,
        None => return None,
        Some(digits) => Some(digits.parse::<u16>().ok()?),
    };
    let default = if scheme == "https" { 443 } else { 80 };
    Some(match port.filter(|port| *port != default) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
}

impl Redirects {
    /// The address of what a caller wants, or why it is refused. `field` is its JSON pointer.
    pub fn resolve(&self, wanted: Option<&str>, default: &str, field: &str) -> Answer<String> {
        let wanted = wanted.unwrap_or(default);
        let refused = |detail: &str| Problem::invalid(field, detail);
        // A path begins with one slash: two, or a slash and a backslash, are another host to a browser.
        if wanted.starts_with('/') && !wanted.starts_with("//") {
            let Some(frontend) = &self.frontend else {
                let detail =
                    "a path needs portal.frontend_url (FRONTEND_URL) to be set; until then send a whole address";
                return Err(refused(detail));
            };
            let whole = format!("{frontend}{wanted}");
            return match origin_of(&whole) == origin_of(frontend) && origin_of(&whole).is_some() {
                true => Ok(whole),
                false => Err(refused(
                    "a path of the front end holds printable ASCII without spaces and backslashes",
                )),
            };
        }
        let allowed = origin_of(wanted).is_some_and(|origin| self.origins.contains(&origin));
        if allowed {
            return Ok(wanted.to_owned());
        }
        Err(refused(
            "a path that begins with one slash, or an address whose origin is in portal.return_origins",
        ))
    }

    /// The same, with the id of the checkout session as Stripe fills it in.
    pub fn resolve_success(&self, wanted: Option<&str>, default: &str, field: &str) -> Answer<String> {
        let address = self.resolve(wanted, default, field)?;
        if address.contains(SESSION) {
            return Ok(address);
        }
        let (address, fragment) = match address.split_once('#') {
            Some((address, fragment)) => (address.to_owned(), format!("#{fragment}")),
            None => (address, String::new()),
        };
        let joint = if address.contains('?') { '&' } else { '?' };
        Ok(format!("{address}{joint}{SESSION}{fragment}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirects() -> Redirects {
        Redirects {
            frontend: Some("https://app.example".to_owned()),
            origins: vec!["https://app.example".to_owned(), "http://127.0.0.1:8080".to_owned()],
        }
    }

    /// Addresses that would send people elsewhere, or hide where they send them.
    const HOSTILE: &[&str] = &[
        "https://evil.example",
        "https://evil.example/",
        "http://app.example/",
        "https://app.example:8443/",
        "https://app.example.evil.example/",
        "https://evil.example/app.example",
        "https://evil.example?https://app.example",
        "https://evil.example#https://app.example",
        "https://evil.example\\@app.example/",
        "https://app.example@evil.example/",
        "https://app.example:443@evil.example/",
        "https://user:pass@app.example/",
        "https://app.example\\.evil.example/",
        "https://app.example%2eevil.example/",
        "https://app.example%00.evil.example/",
        "https://app.example\t.evil.example/",
        "https://app.example\n/",
        " https://app.example/",
        "https://app.example /",
        "https:/app.example/",
        "https:app.example",
        "https:///app.example",
        "//app.example",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "\\/evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "ftp://app.example/",
        "blob:https://app.example/x",
        "https://xn--app-example",
        "https://аpp.example/",
        "https://app.example./",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "http://127.0.0.1:8081/",
        "http://127.1:8080/",
        "http://2130706433:8080/",
        "relative",
        "?x=1",
        "",
        "#x",
    ];

    #[test]
    fn addresses_that_send_people_elsewhere_are_refused() {
        assert!(HOSTILE.len() >= 40);
        for address in HOSTILE {
            for resolve in [Redirects::resolve, Redirects::resolve_success] {
                let answer = resolve(&redirects(), Some(address), "/", "/success_path");
                assert!(answer.is_err(), "{address:?}: {answer:?}");
            }
        }
    }

    #[test]
    fn own_paths_and_listed_origins_are_taken() {
        for (wanted, address) in [
            ("/billing", "https://app.example/billing"),
            ("/billing?tab=1#top", "https://app.example/billing?tab=1#top"),
            ("https://app.example/x", "https://app.example/x"),
            ("HTTPS://APP.EXAMPLE:443/x", "HTTPS://APP.EXAMPLE:443/x"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/"),
        ] {
            assert_eq!(
                redirects().resolve(Some(wanted), "/", "/p").ok().as_deref(),
                Some(address)
            );
        }
        assert_eq!(
            redirects().resolve(None, "/billing", "/p").ok().as_deref(),
            Some("https://app.example/billing")
        );
        assert!(Redirects::default().resolve(Some("/x"), "/", "/p").is_err());
    }

    #[test]
    fn the_session_is_named_once_and_before_the_fragment() {
        let named = |wanted: &str| redirects().resolve_success(Some(wanted), "/", "/p").unwrap_or_default();
        let placeholder = "session_id={CHECKOUT_SESSION_ID}";
        assert_eq!(named("/ok"), format!("https://app.example/ok?{placeholder}"));
        assert_eq!(
            named("/ok?a=1#b"),
            format!("https://app.example/ok?a=1&{placeholder}#b")
        );
        let given = format!("/ok?{placeholder}");
        assert_eq!(named(&given), format!("https://app.example{given}"));
    }
}
