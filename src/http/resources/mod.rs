//! One file per resource: its routes, their parameters and answers.

pub mod audit;
pub mod commands;
pub mod entitlements;
pub mod history;
pub mod inbox;
pub mod inbox_acts;
pub mod keys;
pub mod money_acts;
pub mod plans;
pub mod preview;
pub mod projections;
pub mod quotas;
pub mod service;
pub mod standing;
pub mod stripe_pages;
pub mod subscription;
pub mod subscription_acts;
pub mod subscription_answer;
pub mod tenant_list;
pub mod tenants;
pub mod unassigned;
pub mod webhook;
pub mod whoami;
