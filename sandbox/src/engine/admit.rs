//! Who is let in, and what happens to a call before it is carried out.

use base64::Engine;
use serde_json::Value;

use super::{Admission, Admitted, call_troubles, exit, hash_of, meaning, tree};
use crate::families::{self, Access};
use crate::faults::{Trouble, names};
use crate::state::State;
use crate::wire::call::{Call, Reply};
use crate::wire::error::ApiError;
use crate::wire::version::Version;

impl State {
    /// Lets a call in, or answers it at once.
    pub fn admit(&mut self, call: &Call) -> Admission {
        self.run_due();
        let request_id = self.ids.next("req_", 14);
        let known = families::route(&call.method, &call.path);
        let access = known.map_or(Access::Key, |(ready, _)| ready.route.access);
        let mut version = self.settings.api_version.clone();
        let mut troubles = Vec::new();
        let mut params = Value::Null;
        let mut enter = || -> Result<Result<Admitted, Reply>, ApiError> {
            if access == Access::Key {
                self.check_key(call)?;
            } else if call.method != "GET" && call.header_value("sec-fetch-site") == Some("cross-site") {
                // Nothing but the address of a page protects it, and addresses follow from the seed.
                let message = "Another site may link to the pages of the sandbox, and not post to them.";
                return Err(ApiError::other(403, "invalid_request_error", message));
            }
            if let Some(asked) = call.header_value("stripe-version") {
                let bad = || ApiError::invalid(format!("Invalid Stripe API version: {asked}"));
                version = Version::parse(asked).ok_or_else(bad)?;
            }
            if access != Access::Control {
                troubles = call_troubles(self, call);
            }
            if let Some(reply) = turned_away(&troubles) {
                return Ok(Err(reply));
            }
            let tree = tree(call)?;
            params = Value::Object(tree.clone());
            let posts = call.method == "POST" && access == Access::Key;
            let key = call.header_value("idempotency-key").filter(|_| posts);
            if let Some(key) = key
                && let Some(reply) = meaning(self, key, &hash_of(call, &tree), &request_id)?
            {
                return Ok(Err(reply));
            }
            Ok(Ok(Admitted {
                request_id: request_id.clone(),
                version: version.clone(),
                tree,
                key: key.map(str::to_owned),
                access,
                troubles: troubles.clone(),
            }))
        };
        let mut reply = match enter() {
            Ok(Ok(admitted)) => return Admission::Go(Box::new(admitted)),
            Ok(Err(reply)) => reply,
            Err(error) => Reply::error(&error),
        };
        self.dress(&mut reply, call, &request_id, &version);
        if access != Access::Control {
            let mut entry = self.entry(call, params, &request_id, &reply);
            entry.faults = names(&troubles);
            entry.lost = exit(&troubles) != super::Exit::Whole;
            self.journal.call(entry);
        }
        Admission::Done(reply, exit(&troubles))
    }

    /// `Authorization: Bearer sk_test_..`, or the key as the user of Basic.
    fn check_key(&self, call: &Call) -> Result<(), ApiError> {
        let given = call.header_value("authorization").unwrap_or_default();
        let key = match given.split_once(' ') {
            Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => key.trim().to_owned(),
            Some((scheme, text)) if scheme.eq_ignore_ascii_case("basic") => {
                let bytes = base64::engine::general_purpose::STANDARD.decode(text.trim());
                let user = String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default();
                user.split(':').next().unwrap_or_default().to_owned()
            }
            _ => {
                let message = "You did not provide an API key. Send it as 'Authorization: Bearer YOUR_SECRET_KEY'.";
                return Err(ApiError::other(401, "invalid_request_error", message));
            }
        };
        let keys = &self.settings.keys;
        let test = key.starts_with("sk_test_") || key.starts_with("rk_test_");
        if keys.contains(&key) || (keys.is_empty() && test) {
            return Ok(());
        }
        // As much of the key as Stripe shows.
        let shown: String = key.chars().take(8).collect();
        let message = format!("Invalid API Key provided: {shown}***");
        Err(ApiError::other(401, "invalid_request_error", message))
    }
}

/// The answer of a fault that keeps a call from being looked at.
fn turned_away(troubles: &[Trouble]) -> Option<Reply> {
    troubles.iter().find_map(|trouble| {
        if let Trouble::Http429 { retry_after } = trouble {
            let error = ApiError::other(
                429,
                "invalid_request_error",
                "Too many requests hit the API too quickly.",
            );
            let mut reply = Reply::error(&error.code("rate_limit"));
            if let Some(seconds) = retry_after {
                reply.set("retry-after", &seconds.to_string());
            }
            return Some(reply);
        }
        (*trouble == Trouble::Http502Html {}).then(|| {
            let page = "<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>";
            Reply::typed(502, "text/html", page.as_bytes().to_vec())
        })
    })
}
