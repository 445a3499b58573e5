//! One file per resource: its routes, their parameters and answers.

pub mod alert;
pub mod audit;
pub mod dated;
pub mod entitlements;
pub mod event_streams;
pub mod history;
pub mod inbox;
pub mod inbox_acts;
pub mod invoice_answer;
pub mod invoices;
pub mod keys;
pub mod payments;
pub mod plans;
pub mod projections;
pub mod quotas;
pub mod service;
pub mod standing;
pub mod subscription;
pub mod subscription_answer;
pub mod tenant_list;
pub mod tenants;
pub mod unassigned;
pub mod webhook;
pub mod whoami;
