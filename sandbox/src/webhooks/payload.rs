//! An event as it is shown: a snapshot in some version's shape, or a thin notification.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use crate::families;
use crate::shape::read::text;
use crate::shape::render::render;
use crate::state::State;
use crate::state::events::Event;
use crate::wire::version::Version;

/// The event with its object, in a version's shape.
#[must_use]
pub fn snapshot(state: &State, event: &Event, version: &Version) -> Value {
    let mut data = json!({ "object": event.object });
    render(state, &mut data["object"], version);
    if let Some(previous) = &event.previous {
        // The fields before are of the same kind, so that their names follow the version as well.
        let mut fields = previous.clone();
        fields["object"] = event.object["object"].clone();
        render(state, &mut fields, version);
        if let Some(fields) = fields.as_object_mut() {
            fields.remove("object");
        }
        data["previous_attributes"] = fields;
    }
    json!({
        "id": event.id,
        "object": "event",
        "api_version": version,
        "created": event.created,
        "data": data,
        "livemode": false,
        "pending_webhooks": event.pending,
        "request": {"id": event.request_id, "idempotency_key": event.idempotency_key},
        "type": event.kind,
    })
}

/// The thin event. As a notification it has no `changes` and no `snapshot_event`.
#[must_use]
pub fn thin(event: &Event, notification: bool) -> Value {
    let kind = text(&event.object, "object").unwrap_or_default();
    let id = text(&event.object, "id").unwrap_or_default();
    let place = families::kinds()
        .find(|known| known.object == kind)
        .map_or("", |known| known.path);
    let created = DateTime::from_timestamp(event.created, 0).unwrap_or_default();
    let mut object = json!({
        "id": event.thin_id,
        "object": "v2.core.event",
        "type": format!("v1.{}", event.kind),
        "created": created.to_rfc3339_opts(SecondsFormat::Millis, true),
        "livemode": false,
        "context": null,
        "reason": null,
        "related_object": null,
    });
    if event.request_id.is_some() {
        let request = json!({"id": event.request_id, "idempotency_key": event.idempotency_key});
        object["reason"] = json!({"type": "request", "request": request});
    }
    if !id.is_empty() && !place.is_empty() {
        object["related_object"] = json!({"id": id, "type": kind, "url": format!("{place}/{id}")});
    }
    if !notification {
        object["snapshot_event"] = json!(event.id);
        let before = event.previous.as_ref().map(|before| json!({ "before": before }));
        object["changes"] = json!(before);
    }
    object
}
