//! Views: how far they are, and what an operator may do to them. Every act stands on the log.

use serde_json::{Value, json};

use super::harness::App;

async fn view(app: &App, name: &str) -> Value {
    let list = app.operate("GET", "/v1/projections", &Value::Null).await.json();
    let found = list["data"]
        .as_array()
        .expect("views")
        .iter()
        .find(|view| view["name"] == name)
        .cloned();
    found.unwrap_or_else(|| panic!("no view {name} in {list}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_is_rebuilt_swapped_and_rolled_back() {
    for app in App::all().await {
        let because = json!({ "reason": "a test" });
        assert_eq!(view(&app, "status").await["active_slot"], 0);
        let early = app.operate("POST", "/v1/projections/status/swap", &because).await;
        assert_eq!((early.status, early.problem().as_str()), (409, "invalid-transition"));
        let started = app.operate("POST", "/v1/projections/status/rebuild", &because).await;
        assert_eq!(started.status, 202, "{}", started.text());
        assert!(started.header("ledger-position").is_some());
        app.service.rebuilds.settled().await;
        assert_eq!(view(&app, "status").await["rebuild"]["state"], "filled");
        let swapped = app.operate("POST", "/v1/projections/status/swap", &because).await;
        assert_eq!(swapped.status, 200, "{}", swapped.text());
        assert_eq!(view(&app, "status").await["active_slot"], 1);
        assert_eq!(
            app.operate("POST", "/v1/projections/status/roll-back", &because)
                .await
                .status,
            200
        );
        assert_eq!(view(&app, "status").await["active_slot"], 0);
    }
}

#[tokio::test]
async fn acts_need_a_reason_and_a_view_that_is_there() {
    let app = App::new().await;
    for act in ["rebuild", "swap", "roll-back"] {
        for body in [
            json!({}),
            json!({ "reason": " " }),
            json!({ "reason": "x".repeat(501) }),
            json!({ "reason": "x", "slot": 1 }),
        ] {
            let path = format!("/v1/projections/status/{act}");
            assert_eq!(
                app.operate("POST", &path, &body).await.problem(),
                "validation-failed",
                "{act} {body}"
            );
        }
        let path = format!("/v1/projections/none/{act}");
        assert_eq!(
            app.operate("POST", &path, &json!({ "reason": "x" })).await.problem(),
            "not-found"
        );
    }
    let last = 9_007_199_254_740_991_u64;
    for (part, position, problem) in [
        (0, 1, "invalid-transition"),
        (4_095, last - 1, "invalid-transition"),
        (0, last, "invalid-transition"),
        (4_096, 1, "validation-failed"),
        (0, 0, "validation-failed"),
        (0, last + 1, "validation-failed"),
    ] {
        let skip = json!({ "part": part, "position": position, "reason": "x" });
        let answer = app.operate("POST", "/v1/projections/audit/skip", &skip).await;
        assert_eq!(answer.problem(), problem, "{skip}");
    }
}
