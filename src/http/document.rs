//! The OpenAPI 3.1 document: paths and schemas come from the handlers, what is true of every route from its row.

use projections::views::View;
use serde_json::{Map, Value, json};
use utoipa::openapi::{Components, InfoBuilder, OpenApiBuilder, Paths};

use super::idempotency;
use super::limits::Policy;
use super::problem::ProblemKind;
use super::router::{Access, Row};
use super::text;

/// Problems that any route may answer.
const ALWAYS: &[ProblemKind] = &[
    ProblemKind::MalformedRequest,
    ProblemKind::Internal,
    ProblemKind::StoreUnavailable,
];
/// Problems of routes that ask for a credential.
const GUARDED: &[ProblemKind] = &[ProblemKind::Unauthenticated, ProblemKind::Forbidden];
/// Problems of routes with a JSON body.
const WITH_BODY: &[ProblemKind] = &[
    ProblemKind::PayloadTooLarge,
    ProblemKind::UnsupportedMediaType,
    ProblemKind::ValidationFailed,
];

/// The document of a route table.
#[must_use]
pub fn of(table: &[Row]) -> Value {
    let mut paths = Paths::new();
    let mut components = Components::new();
    for row in table {
        let (schemas, found, _) = (row.handler)();
        components.schemas.extend(schemas);
        for (path, item) in found.paths {
            match paths.paths.get_mut(&path) {
                Some(known) => known.merge_operations(item),
                None => {
                    paths.paths.insert(path, item);
                }
            }
        }
    }
    let info = InfoBuilder::new()
        .title("subledger")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(None::<utoipa::openapi::License>);
    let document = OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components))
        .build();
    let mut document = serde_json::to_value(&document).unwrap_or_default();
    document["components"]["securitySchemes"] = json!({ "bearer": { "type": "http", "scheme": "bearer",
        "description": "An API key (`subl_<mode>_<id>_<secret>`) or a portal token (JWT of the configured issuer)." } });
    document["components"]["schemas"]["Problem"] = problem_schema();
    for row in table {
        let method = row.method.to_ascii_lowercase();
        if let Some(operation) = document["paths"][row.path].get_mut(&method) {
            complete(operation, row);
        }
    }
    prune(&mut document);
    document
}

/// Drops schemas that nothing refers to: what a page holds is written into the page itself.
fn prune(document: &mut Value) {
    loop {
        let mut named = std::collections::BTreeSet::new();
        references(document, &mut named);
        let Some(schemas) = document["components"]["schemas"].as_object_mut() else {
            return;
        };
        let before = schemas.len();
        schemas.retain(|name, _| named.contains(name));
        if schemas.len() == before {
            return;
        }
    }
}

fn references(value: &Value, named: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                match inner
                    .as_str()
                    .and_then(|text| text.strip_prefix("#/components/schemas/"))
                {
                    Some(schema) if name == "$ref" => {
                        named.insert(schema.to_owned());
                    }
                    Some(_) | None => references(inner, named),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, named)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A tenant that is read: its own name, `me`, or a Stripe customer.
const READ_TENANT: &str = r"^((?!cus_)[A-Za-z0-9._:-]{1,128}|cus_[!-~]{0,251})$";
/// The header Stripe signs in: its time, and one signature or more.
const SIGNATURE: &str = r"^t=[0-9]{1,19}(,v[0-9]=[0-9A-Fa-f]{64})+$";

/// The schema of a path parameter, by its name: what does not fit it is the name of nothing.
fn path_parameter(row: &Row, name: &str) -> Option<Value> {
    let matching = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    Some(match name {
        "tenant" if row.method == "PUT" => matching(text::TENANT),
        "tenant" => matching(READ_TENANT),
        "customer" | "source" | "event_id" => matching(text::STRIPE_ID),
        "plan" => matching("^[a-z0-9_-]{1,64}$"),
        "id" if row.path.contains("/invoices/") => matching(text::STRIPE_ID),
        "id" if row.path.starts_with("/v1/tenants/") => matching("^[A-Za-z0-9_-]{1,255}$"),
        "id" => matching("^[A-Za-z0-9]{1,64}$"),
        "address" => matching(r"^[0-9]{1,10}\.[0-9]{1,19}$"),
        "endpoint" => matching("^[A-Za-z0-9_-]{1,64}$"),
        "name" => json!({ "type": "string", "enum": View::ALL.map(View::name) }),
        "slug" => {
            let slugs: Vec<&str> = ProblemKind::ALL.iter().map(|kind| kind.slug()).collect();
            json!({ "type": "string", "enum": slugs })
        }
        _ => return None,
    })
}

/// The header that commands take, whatever they do.
fn idempotency_key(is_needed: bool) -> Value {
    json!({
        "name": "Idempotency-Key", "in": "header", "required": is_needed,
        "description": "The same for every attempt at one request: it is carried out once, and its answer kept 30 days",
        "schema": { "type": "string", "pattern": idempotency::KEY_PATTERN },
    })
}

/// The header of commands that wait for their end.
fn preferred_wait() -> Value {
    json!({
        "name": "Prefer", "in": "header", "required": false,
        "description": "`wait=<seconds, at most 10>`: answer once the command has ended, at the latest after so long",
        "schema": { "type": "string", "pattern": "^wait=[0-9]{1,2}$" },
    })
}

const DESCRIPTION: &str = "An event-sourced billing ledger on Stripe. Changes are additive: ignore fields you do not know. \
Every error is `application/problem+json` with a `type` that is a page of its own. Reads may carry `Ledger-Min-Position` \
(the `Ledger-Position` of an earlier write) and `Prefer: wait=<seconds, at most 2>`; they answer `Ledger-View-Position` \
and `Ledger-View-Age`.";

fn complete_parameters(operation: &mut Value, row: &Row) {
    let guarded = !matches!(row.access, Access::Public | Access::Stripe);
    // A preview changes nothing, so it may come as often as it likes.
    let is_preview = row.path.ends_with("/preview");
    if guarded && !is_preview && matches!(row.method, "POST" | "PUT") {
        // What reaches Stripe must be known when it comes again.
        let is_needed = row.chapter == "commands";
        let mut headers = vec![idempotency_key(is_needed)];
        if is_needed {
            headers.push(preferred_wait());
        }
        match operation.get_mut("parameters").and_then(Value::as_array_mut) {
            Some(parameters) => parameters.extend(headers),
            None => operation["parameters"] = json!(headers),
        }
    }
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let schema = match (parameter["in"].as_str(), parameter["name"].as_str()) {
            (Some("path"), Some(name)) => path_parameter(row, name),
            (Some("header"), Some("Stripe-Signature")) => {
                Some(json!({ "type": "string", "pattern": SIGNATURE, "maxLength": 4096 }))
            }
            _ => None,
        };
        if let Some(schema) = schema {
            parameter["schema"] = schema;
        }
    }
}

fn complete(operation: &mut Value, row: &Row) {
    operation["tags"] = json!([row.chapter]);
    operation["operationId"] = row.name.into();
    complete_parameters(operation, row);
    match row.access {
        Access::Public | Access::Stripe => operation["security"] = json!([]),
        Access::Any | Access::Scope(_) => operation["security"] = json!([{ "bearer": [] }]),
    }
    if let Access::Scope(scope) = row.access {
        operation["x-scope"] = scope.as_str().into();
        operation["x-least-portal-role"] = row.least_role.map_or(Value::Null, |role| role.as_str().into());
    }
    let mut kinds = ALWAYS.to_vec();
    if !matches!(row.access, Access::Public | Access::Stripe) {
        kinds.extend(GUARDED);
    }
    if row.policy != Policy::Unlimited {
        kinds.push(ProblemKind::RateLimited);
    }
    if operation.get("requestBody").is_some() && row.access != Access::Stripe {
        kinds.extend(WITH_BODY);
    }
    if row.path.contains('{') && row.access != Access::Stripe {
        kinds.push(ProblemKind::NotFound);
    }
    let Some(responses) = operation["responses"].as_object_mut() else {
        return;
    };
    for kind in kinds {
        let words = json!({ "description": format!("{} (`{}`)", kind.title(), kind.slug()) });
        responses.entry(kind.status().to_string()).or_insert(words);
    }
    for (status, response) in responses {
        let is_problem = status.as_str() >= "400" && response.get("content").is_none();
        if is_problem {
            let schema = json!({ "$ref": "#/components/schemas/Problem" });
            response["content"] = json!({ "application/problem+json": { "schema": schema } });
        }
    }
}

fn problem_schema() -> Value {
    let slugs: Vec<Value> = ProblemKind::ALL.iter().map(|kind| kind.slug().into()).collect();
    json!({
        "type": "object",
        "description": "RFC 9457. `code` is the last part of `type`; the list may grow.",
        "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
        "properties": {
            "type": { "type": "string", "description": "`/problems/<code>`, a page with cause and remedy" },
            "title": { "type": "string" }, "status": { "type": "integer" }, "detail": { "type": "string" },
            "instance": { "type": "string" }, "code": { "type": "string", "examples": slugs },
            "request_id": { "type": "string" },
            "errors": { "type": "array", "items": { "type": "object", "required": ["pointer", "detail"],
                "properties": { "pointer": { "type": "string" }, "detail": { "type": "string" } } } },
            "retry_after": { "type": "integer", "description": "seconds" },
        },
        "additionalProperties": true,
    })
}

/// Names of the query parameters of a row's operation.
#[must_use]
pub fn query_parameters(document: &Value, row: &Row) -> Vec<String> {
    let operation = &document["paths"][row.path][row.method.to_ascii_lowercase()];
    let parameters = operation["parameters"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let in_query = parameters.iter().filter(|parameter| parameter["in"] == "query");
    in_query
        .filter_map(|parameter| parameter["name"].as_str().map(str::to_owned))
        .collect()
}

/// Rows whose handler documents another address than the row's, and operations without a row.
#[must_use]
pub fn disagreements(table: &[Row]) -> Vec<String> {
    let mut faults = Vec::new();
    for row in table {
        let (_, found, _) = (row.handler)();
        let value = serde_json::to_value(&found).unwrap_or_default();
        let empty = Map::new();
        for (path, item) in value.as_object().unwrap_or(&empty) {
            let methods: Vec<String> = item
                .as_object()
                .map(|item| item.keys().cloned().collect())
                .unwrap_or_default();
            if path != row.path || methods != [row.method.to_ascii_lowercase()] {
                faults.push(format!(
                    "the row {} {} names a handler of {methods:?} {path}",
                    row.method, row.path
                ));
            }
        }
    }
    faults
}
