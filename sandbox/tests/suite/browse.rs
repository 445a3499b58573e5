//! Pages as a browser without scripts has them: opened, their forms read and sent.
//!
//! A real browser shows more: that a form may end where `form-action` lets it (Chromium holds a form to it through every
//! redirect, from Checkout over the bank's page to the host), that Tab reaches every field in order, that nothing is wider
//! than 360 pixels, and how both looks are. Such a test needs `chromium` and `chromium-driver` of one version, a sandbox
//! and a host page on free ports of this machine, `Emulation.setDeviceMetricsOverride` for narrow windows and
//! `Emulation.setEmulatedMedia` for the dark look; a form that is shown again with an error answers 400 or 402, which the
//! browser's console notes as a resource that failed to load. Elements are found by the ids of their fields
//! (`card[number]` is `#card-number`) and by the texts of their buttons.

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sandbox::{Call, Reply};

use crate::support::Ask;

/// One tag of a page, with what stands between it and the next.
#[derive(Clone, Debug)]
pub(crate) struct Tag {
    pub(crate) name: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) text: String,
}

impl Tag {
    pub(crate) fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// A page that has been opened.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) status: u16,
    pub(crate) html: String,
    pub(crate) tags: Vec<Tag>,
    pub(crate) policy: String,
}

fn plain(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
}

fn tags(html: &str) -> Vec<Tag> {
    let mut found = Vec::new();
    for part in html.split('<').skip(1) {
        // `maud` escapes `<` and `>` in text and `"` in values, so that a `>` ends its tag.
        let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("no end of {part}"));
        let (name, mut rest) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
        let mut attributes = BTreeMap::new();
        while !rest.trim().is_empty() {
            let trimmed = rest.trim_start();
            let end = trimmed.find(['=', ' ']).unwrap_or(trimmed.len());
            let (key, after) = trimmed.split_at(end);
            if let Some(value) = after.strip_prefix("=\"") {
                let (value, after) = value.split_once('"').unwrap();
                attributes.insert(key.to_owned(), plain(value));
                rest = after;
            } else {
                assert!(
                    !after.starts_with('='),
                    "a value without quotes is none of ours: <{tag}>"
                );
                attributes.insert(key.to_owned(), String::new());
                rest = after;
            }
        }
        found.push(Tag {
            name: name.to_owned(),
            attributes,
            text: plain(text),
        });
    }
    found
}

impl Shown {
    pub(crate) fn of(reply: &Reply) -> Self {
        assert_eq!(
            reply.headers.get("content-type").map(String::as_str),
            Some("text/html; charset=utf-8"),
            "{}",
            String::from_utf8_lossy(&reply.body)
        );
        let html = String::from_utf8(reply.body.clone()).unwrap();
        let policy = reply.headers["content-security-policy"].clone();
        let shown = Self {
            status: reply.status,
            tags: tags(&html),
            html,
            policy,
        };
        shown.is_sound(reply);
        shown
    }

    /// What holds of every page.
    fn is_sound(&self, reply: &Reply) {
        let count = |name: &str| self.tags.iter().filter(|tag| tag.name == name).count();
        assert_eq!(
            (count("h1"), count("main"), count("title"), count("script")),
            (1, 1, 1, 0),
            "{}",
            self.html
        );
        assert!(
            self.policy
                .starts_with("default-src 'none'; style-src 'self'; form-action 'self'"),
            "{}",
            self.policy
        );
        assert!(self.policy.contains("frame-ancestors 'none'") && !self.policy.contains("unsafe"));
        assert!(!self.policy.contains("script-src"), "{}", self.policy);
        assert_eq!(reply.headers["cache-control"], "no-store");
        assert_eq!(reply.headers["referrer-policy"], "no-referrer");
        assert!(self.text().contains("Sandbox"), "a page says what it is");
        let ids: Vec<&str> = self
            .tags
            .iter()
            .map(|tag| tag.get("id"))
            .filter(|id| !id.is_empty())
            .collect();
        for id in &ids {
            assert_eq!(ids.iter().filter(|other| *other == id).count(), 1, "id {id} twice");
        }
        for tag in &self.tags {
            assert!(
                !tag.attributes
                    .keys()
                    .any(|name| name.starts_with("on") || name == "style"),
                "{tag:?}"
            );
            let href = tag.get("href").to_lowercase();
            assert!(!href.starts_with("javascript:"), "{tag:?}");
            if matches!(tag.name.as_str(), "input" | "select") && tag.get("type") != "hidden" {
                let label = self
                    .tags
                    .iter()
                    .find(|label| label.name == "label" && label.get("for") == tag.get("id"));
                let label = label.unwrap_or_else(|| panic!("{tag:?} has no label"));
                assert!(!label.text.trim().is_empty(), "{tag:?} has an empty label");
            }
            for name in tag
                .get("aria-describedby")
                .split_whitespace()
                .chain(tag.get("aria-labelledby").split_whitespace())
            {
                assert!(ids.contains(&name), "{tag:?} is described by nothing");
            }
            if let Some(target) = tag.get("href").strip_prefix('#') {
                assert!(ids.contains(&target), "{tag:?} leads nowhere");
            }
        }
    }

    /// All text, blanks folded.
    pub(crate) fn text(&self) -> String {
        let texts: Vec<&str> = self.tags.iter().map(|tag| tag.text.as_str()).collect();
        texts.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The input of a name.
    pub(crate) fn input(&self, name: &str) -> &Tag {
        let found = self
            .tags
            .iter()
            .find(|tag| matches!(tag.name.as_str(), "input" | "select") && tag.get("name") == name);
        found.unwrap_or_else(|| panic!("no field {name} in {}", self.html))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.tags
            .iter()
            .any(|tag| matches!(tag.name.as_str(), "input" | "select") && tag.get("name") == name)
    }

    /// The error of a field, as it is bound to it.
    pub(crate) fn error_of(&self, name: &str) -> String {
        let input = self.input(name);
        assert_eq!(input.get("aria-invalid"), "true", "{name}: {}", self.text());
        let mut bound = input.get("aria-describedby").split_whitespace();
        let id = bound.find(|id| id.ends_with("-error")).unwrap();
        let at = self.tags.iter().position(|tag| tag.get("id") == id).unwrap();
        // `<p><span>Error: </span>words</p>`
        let alert = self.tags.iter().any(|tag| tag.get("role") == "alert");
        assert!(alert, "an error is said at the top too");
        self.tags[at + 2].text.trim().to_owned()
    }

    pub(crate) fn links(&self) -> Vec<&str> {
        self.tags
            .iter()
            .filter(|tag| tag.name == "a")
            .map(|tag| tag.get("href"))
            .collect()
    }
}

/// Fields as a form sends them.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let one = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let all: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}={}", one(name), one(value)))
        .collect();
    all.join("&")
}

/// The fields of a card.
pub(crate) fn card(number: &str) -> Vec<(&'static str, &str)> {
    vec![
        ("card[number]", number),
        ("card[exp_month]", "12"),
        ("card[exp_year]", "2040"),
        ("card[cvc]", "123"),
    ]
}

pub(crate) trait Browse: Ask {
    fn open(&mut self, path: &str) -> Shown {
        Shown::of(&self.ask(&Call::new("GET", &local(path))))
    }

    /// Sends a form; the reply is a page or leads on.
    fn send(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let call = Call::new("POST", &local(path)).header("sec-fetch-site", "same-origin");
        self.ask(&call.form(&form(fields)))
    }

    /// Sends a form that leads on, and answers where to.
    fn follow(&mut self, path: &str, fields: &[(&str, &str)]) -> String {
        leads(&self.send(path, fields))
    }
}

impl<T: Ask> Browse for T {}

pub(crate) fn leads(reply: &Reply) -> String {
    assert_eq!(reply.status, 303, "{}", String::from_utf8_lossy(&reply.body));
    reply.headers["location"].clone()
}

/// The path of an address of the sandbox.
pub(crate) fn local(url: &str) -> String {
    match url.strip_prefix("http://127.0.0.1") {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]).to_owned(),
        None => url.to_owned(),
    }
}

/// A call over a socket, without following where it leads.
pub(crate) async fn fetch(method: &str, url: &str, body: &str) -> Reply {
    use http_body_util::{BodyExt, Full};
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;

    let client = Client::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>();
    let request = hyper::Request::builder()
        .method(method)
        .uri(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::new(bytes::Bytes::from(body.to_owned())))
        .unwrap();
    let response = client.request(request).await.unwrap();
    let status = response.status().as_u16();
    let headers = response.headers().iter();
    let headers = headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let body = response.into_body().collect().await.unwrap().to_bytes().to_vec();
    Reply { status, headers, body }
}
