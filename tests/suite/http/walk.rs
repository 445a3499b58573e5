//! Router and document are one: every operation is called, and answers what it is documented to answer.

use super::harness::App;

/// A value for a path parameter: of something that exists where the service always has one, else of nothing.
fn value_of(name: &str) -> &'static str {
    match name {
        "slug" => "not-found",
        "plan" => "team",
        "tenant" => "acme",
        "customer" => "cus_none",
        "source" => "default",
        "event_id" => "evt_none",
        "name" => "status",
        "address" => "0.1",
        "id" => "abcdefgh",
        "endpoint" => "main",
        other => panic!("no value for the path parameter {other}"),
    }
}

pub(super) fn filled(path: &str) -> String {
    let mut url = String::new();
    for segment in path.split('/').skip(1) {
        url.push('/');
        match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => url.push_str(value_of(name)),
            None => url.push_str(segment),
        }
    }
    url
}

/// Bodies to try: an empty object, and one with a field nothing has.
const BODIES: [&str; 3] = ["{}", r#"{"no_such_field":1}"#, "[1"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_answers_as_documented() {
    for app in App::all().await {
        let document = app.get("/openapi.json").await.json();
        let bearer = format!("Bearer {}", app.admin.reveal());
        let mut called = 0;
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                let with_body = !operation["requestBody"].is_null();
                for body in if with_body { &BODIES[..] } else { &[""] } {
                    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
                    let answer = app.call(&method.to_uppercase(), &filled(path), &headers, body).await;
                    let documented = &operation["responses"][answer.status.to_string()];
                    assert!(
                        !documented.is_null(),
                        "{method} {path} {body}: {} is not documented: {}",
                        answer.status,
                        answer.text()
                    );
                    assert!(answer.status < 500, "{method} {path} {body}: {}", answer.text());
                    if let Some(content) = documented["content"].as_object() {
                        let kind = answer
                            .header("content-type")
                            .unwrap_or_default()
                            .split(';')
                            .next()
                            .unwrap_or_default();
                        assert!(content.contains_key(kind), "{method} {path}: {kind} is not documented");
                    }
                    called += 1;
                }
            }
        }
        assert!(called >= document["paths"].as_object().map_or(0, serde_json::Map::len));
    }
}

#[tokio::test]
async fn every_operation_is_described_and_says_who_may_call_it() {
    let document = App::new().await.get("/openapi.json").await.json();
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let place = format!("{method} {path}");
            assert!(
                operation["summary"].as_str().is_some_and(|text| text.len() > 5),
                "{place} has no summary"
            );
            assert!(operation["security"].is_array(), "{place} does not say who may call it");
            let id = operation["operationId"]
                .as_str()
                .unwrap_or_else(|| panic!("{place} has no id"));
            assert!(ids.insert(id.to_owned()), "{id} names two operations");
            for (status, response) in operation["responses"].as_object().expect("responses") {
                let problem = response["content"]["application/problem+json"].is_object();
                let probe = ["/readyz", "/startupz"].contains(&path.as_str()) && status == "503";
                assert_eq!(problem, status.as_str() >= "400" && !probe, "{place} {status}");
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(
                    parameter["description"].is_string(),
                    "{place}: {} is not described",
                    parameter["name"]
                );
            }
        }
    }
    let orphan = |name: &str| !document.to_string().contains(&format!("#/components/schemas/{name}\""));
    let orphans: Vec<&String> = document["components"]["schemas"]
        .as_object()
        .expect("schemas")
        .keys()
        .filter(|name| orphan(name))
        .collect();
    assert_eq!(orphans, Vec::<&String>::new(), "schemas nothing refers to");
}
