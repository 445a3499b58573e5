//! The HTTP interface. This page is the whole of it: a route that has no row here does not exist.
//!
//! `portal` is the least role of a portal token (`no` = portal tokens are refused), `access` the scope a key needs
//! (`Any` = every credential, `Public` = none, `Stripe` = a signature over the body). Everything else is denied.

pub mod account;
pub mod act;
pub mod bodies;
pub mod conditional;
pub mod document;
pub mod edge;
pub mod extract;
pub mod frames;
pub mod guard;
pub mod idempotency;
pub mod json;
pub mod limits;
pub mod metrics;
pub mod operations;
pub mod page;
pub mod past;
pub mod position;
pub mod problem;
pub mod rebuilt;
pub mod redirects;
pub mod rejections;
pub mod resources;
pub mod router;
pub mod server;
pub mod shape;
pub mod state;
pub mod streams;
pub mod stripe;
pub mod text;
pub mod timed;

use limits::Policy;
use resources::{
    audit, commands, entitlements, event_streams, history, inbox, inbox_acts, invoices, keys, money_acts, payments,
    plans, preview, projections, quotas, service, stripe_pages, subscription, subscription_acts, tenant_list, tenants,
    unassigned, webhook, whoami,
};
use router::{Access, Row};

use crate::auth::{Role, Scope};

macro_rules! role {
    (no) => {
        None
    };
    ($role:ident) => {
        Some(Role::$role)
    };
}

macro_rules! access {
    (Public) => {
        Access::Public
    };
    (Any) => {
        Access::Any
    };
    (Stripe) => {
        Access::Stripe
    };
    ($scope:ident) => {
        Access::Scope(Scope::$scope)
    };
}

macro_rules! table {
    ($($method:ident $path:literal $chapter:literal $portal:ident $access:ident $policy:ident $module:ident :: $handler:ident;)*) => {
        /// The route table.
        pub static TABLE: &[Row] = &[$(Row {
            method: stringify!($method),
            name: concat!(stringify!($module), "_", stringify!($handler)),
            path: $path,
            chapter: $chapter,
            least_role: role!($portal),
            access: access!($access),
            policy: Policy::$policy,
            handler: || utoipa_axum::routes!($module::$handler),
        },)*];
    };
}

#[rustfmt::skip]
table! {
//  method path                                                  chapter      portal  access             bucket     handler
    GET    "/livez"                                              "service"    no      Public             Unlimited  service::livez;
    GET    "/readyz"                                             "service"    no      Public             Unlimited  service::readyz;
    GET    "/startupz"                                           "service"    no      Public             Unlimited  service::startupz;
    GET    "/version"                                            "service"    no      Public             Public     service::version;
    GET    "/openapi.json"                                       "service"    no      Public             Public     service::openapi;
    GET    "/docs"                                               "service"    no      Public             Public     service::docs;
    GET    "/problems/{slug}"                                    "service"    no      Public             Public     service::problem_page;
    GET    "/v1/whoami"                                          "service"    Viewer  Any                Operator   whoami::show;
    POST   "/v1/stream-tickets"                                  "service"    Viewer  Any                Operator   event_streams::ticket;

    POST   "/webhooks/stripe"                                    "webhooks"   no      Stripe             Unlimited  webhook::deliver;
    POST   "/webhooks/stripe/{endpoint}"                         "webhooks"   no      Stripe             Unlimited  webhook::deliver_to;
    GET    "/v1/webhook-inbox"                                   "inbox"      no      InboxRead          Operator   inbox::list;
    GET    "/v1/webhook-inbox/{source}/{event_id}"               "inbox"      no      InboxRead          Operator   inbox::show;
    GET    "/v1/webhook-inbox/{source}/{event_id}/raw"           "inbox"      no      InboxRead          Operator   inbox::raw;
    POST   "/v1/webhook-inbox/{source}/{event_id}/replay"        "inbox"      no      InboxWrite         Operator   inbox_acts::replay;
    POST   "/v1/webhook-inbox/{source}/{event_id}/discard"       "inbox"      no      InboxWrite         Operator   inbox_acts::discard;
    POST   "/v1/webhook-inbox-replays"                           "inbox"      no      InboxWrite         Operator   inbox_acts::replay_many;

    GET    "/v1/plans"                                           "plans"      no      Public             Public     plans::list;
    GET    "/v1/plans/{plan}"                                    "plans"      no      Public             Public     plans::show;
    GET    "/v1/plan-comparison"                                 "plans"      no      Public             Public     plans::compare;

    PUT    "/v1/tenants/{tenant}"                                "tenants"    no      TenantsWrite       Operator   tenants::put;
    GET    "/v1/tenants/{tenant}"                                "tenants"    Viewer  TenantsRead        Operator   tenants::show;
    GET    "/v1/tenants"                                         "tenants"    no      TenantsRead        Operator   tenant_list::list;
    GET    "/v1/unassigned-accounts"                             "tenants"    no      TenantsRead        Operator   unassigned::list;
    POST   "/v1/unassigned-accounts/{customer}/assign"           "tenants"    no      TenantsWrite       Operator   unassigned::assign;

    GET    "/v1/tenants/{tenant}/subscription"                   "standing"   Viewer  SubscriptionRead   Standing   subscription::show;
    GET    "/v1/tenants/{tenant}/subscription/history"           "standing"   Viewer  SubscriptionRead   Operator   history::list;
    GET    "/v1/tenants/{tenant}/subscription/stream"            "standing"   Viewer  SubscriptionRead   Operator   event_streams::subscription;
    GET    "/v1/tenants/{tenant}/entitlements"                   "standing"   Viewer  EntitlementsRead   Standing   entitlements::show;
    GET    "/v1/tenants/{tenant}/quotas"                         "standing"   Viewer  UsageRead          Standing   quotas::show;

    GET    "/v1/tenants/{tenant}/invoices"                       "invoices"   Viewer  InvoicesRead       Finance    invoices::list;
    GET    "/v1/tenants/{tenant}/invoices/{id}"                  "invoices"   Viewer  InvoicesRead       Finance    invoices::show;
    GET    "/v1/tenants/{tenant}/invoices/{id}/pdf"              "invoices"   Viewer  InvoicesRead       Finance    invoices::pdf;
    GET    "/v1/tenants/{tenant}/upcoming-invoice"               "invoices"   Viewer  InvoicesRead       Finance    invoices::upcoming;
    GET    "/v1/tenants/{tenant}/payments"                       "invoices"   Viewer  InvoicesRead       Finance    payments::list;
    GET    "/v1/tenants/{tenant}/payment-method"                 "invoices"   Viewer  InvoicesRead       Finance    payments::method;
    GET    "/v1/tenants/{tenant}/credit-notes"                   "invoices"   Viewer  InvoicesRead       Finance    payments::credit_notes;
    GET    "/v1/tenants/{tenant}/refunds"                        "invoices"   no      FinanceRead        Finance    payments::refunds;

    GET    "/v1/tenants/{tenant}/commands"                       "commands"   Viewer  SubscriptionRead   Operator   commands::list;
    GET    "/v1/tenants/{tenant}/commands/{id}"                  "commands"   Viewer  SubscriptionRead   Operator   commands::show;
    POST   "/v1/tenants/{tenant}/subscription"                   "commands"   no      SubscriptionWrite  Operator   subscription_acts::create;
    POST   "/v1/tenants/{tenant}/subscription/change-plan"       "commands"   Billing SubscriptionWrite  Operator   subscription_acts::change_plan;
    POST   "/v1/tenants/{tenant}/subscription/change-quantity"   "commands"   Billing SubscriptionWrite  Operator   subscription_acts::change_quantity;
    POST   "/v1/tenants/{tenant}/subscription/cancel"            "commands"   Billing SubscriptionWrite  Operator   subscription_acts::cancel;
    POST   "/v1/tenants/{tenant}/subscription/resume"            "commands"   Billing SubscriptionWrite  Operator   subscription_acts::resume;
    POST   "/v1/tenants/{tenant}/subscription/withdraw-change"   "commands"   Billing SubscriptionWrite  Operator   subscription_acts::withdraw_change;
    POST   "/v1/tenants/{tenant}/subscription/pause"             "commands"   Billing SubscriptionWrite  Operator   subscription_acts::pause;
    POST   "/v1/tenants/{tenant}/subscription/unpause"           "commands"   Billing SubscriptionWrite  Operator   subscription_acts::unpause;
    POST   "/v1/tenants/{tenant}/subscription/apply-coupon"      "commands"   no      SubscriptionWrite  Operator   subscription_acts::apply_coupon;
    POST   "/v1/tenants/{tenant}/subscription/extend-trial"      "commands"   no      SubscriptionWrite  Operator   subscription_acts::extend_trial;
    POST   "/v1/tenants/{tenant}/invoices/{id}/pay"              "commands"   Billing InvoicesWrite      Operator   money_acts::pay;
    POST   "/v1/tenants/{tenant}/refunds"                        "commands"   no      FinanceWrite       Finance    money_acts::refund;

    POST   "/v1/tenants/{tenant}/checkout-sessions"              "commands"   Billing SubscriptionWrite  Operator   stripe_pages::open_checkout;
    GET    "/v1/tenants/{tenant}/checkout-sessions/{id}"         "commands"   Viewer  SubscriptionRead   Operator   stripe_pages::show_checkout;
    POST   "/v1/tenants/{tenant}/portal-sessions"                "commands"   Billing SubscriptionWrite  Operator   stripe_pages::open_portal;
    POST   "/v1/tenants/{tenant}/subscription/preview"           "commands"   Billing SubscriptionRead   Operator   preview::show;

    GET    "/v1/audit/events"                                    "audit"      no      AuditRead          Finance    audit::events;
    GET    "/v1/audit/events/{address}"                          "audit"      no      AuditRead          Finance    audit::event;
    GET    "/v1/audit/stream"                                    "audit"      no      AuditRead          Finance    event_streams::audit;
    GET    "/v1/audit/state"                                     "audit"      no      AuditRead          Finance    audit::state;

    GET    "/v1/api-keys"                                        "api-keys"   no      KeysAdmin          Operator   keys::list;
    POST   "/v1/api-keys"                                        "api-keys"   no      KeysAdmin          Operator   keys::create;
    POST   "/v1/api-keys/{id}/rotate"                            "api-keys"   no      KeysAdmin          Operator   keys::rotate;
    DELETE "/v1/api-keys/{id}"                                   "api-keys"   no      KeysAdmin          Operator   keys::revoke;

    GET    "/v1/projections"                                     "operation"  no      SystemRead         Operator   projections::list;
    POST   "/v1/projections/{name}/rebuild"                      "operation"  no      SystemWrite        Operator   projections::rebuild;
    POST   "/v1/projections/{name}/swap"                         "operation"  no      SystemWrite        Operator   projections::swap_slots;
    POST   "/v1/projections/{name}/roll-back"                    "operation"  no      SystemWrite        Operator   projections::roll_back;
    POST   "/v1/projections/{name}/skip"                         "operation"  no      SystemWrite        Operator   projections::skip;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_names_the_handler_of_its_own_address() {
        assert_eq!(document::disagreements(TABLE), Vec::<String>::new());
    }

    #[test]
    fn no_two_rows_share_an_address() {
        let mut seen = std::collections::BTreeSet::new();
        for row in TABLE {
            assert!(seen.insert((row.method, row.path)), "{} {} twice", row.method, row.path);
        }
    }
}
