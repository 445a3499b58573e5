//! What an account holds, in the terms of the catalogue versions its events name.

use std::sync::Arc;

use aggregates::ids::PlanCode;
use aggregates::plan::{Catalogue, Granted, Plan, PlanError};
use aggregates::subscription::standing::Standing;
use projections::db::Db;

use super::registry::{Registry, RegistryError};

/// Plans held, each with the catalogue whose terms hold.
#[derive(Clone, Debug)]
pub struct Held(Vec<HeldPlan>);

/// One plan that is held.
#[derive(Clone, Debug)]
pub struct HeldPlan {
    /// The version whose terms hold.
    pub catalogue: Arc<Catalogue>,
    /// The plan in it.
    pub code: PlanCode,
    /// How many units.
    pub quantity: u64,
}

impl HeldPlan {
    /// Its terms; none when its version is lost and today's catalogue has no such plan.
    #[must_use]
    pub fn plan(&self) -> Option<&Plan> {
        self.catalogue.plan(&self.code)
    }
}

impl Held {
    /// What a standing gives: the plans of its subscriptions, or today's free plan.
    pub async fn of(registry: &Registry, db: &Db, standing: &Standing) -> Result<Self, RegistryError> {
        let known = |version| registry.version(version).is_some();
        if standing.holdings.iter().any(|held| !known(held.plan.version)) {
            // Another process may have loaded it; if nobody has, today's terms are the best there are.
            registry.refresh(db).await?;
        }
        let current = registry.current();
        let free = current
            .free_plan()
            .filter(|_| standing.on_free_plan && standing.holdings.is_empty());
        let mut plans: Vec<HeldPlan> = free
            .map(|plan| HeldPlan {
                catalogue: Arc::clone(&current),
                code: plan.code.clone(),
                quantity: 1,
            })
            .into_iter()
            .collect();
        plans.extend(standing.holdings.iter().map(|held| {
            HeldPlan {
                catalogue: registry
                    .version(held.plan.version)
                    .unwrap_or_else(|| Arc::clone(&current)),
                code: held.plan.code.clone(),
                quantity: held.quantity,
            }
        }));
        Ok(Self(plans))
    }

    /// The plans, in the order of the subscriptions.
    #[must_use]
    pub fn plans(&self) -> &[HeldPlan] {
        &self.0
    }

    /// Features and limits of all of them together.
    pub fn granted(&self) -> Result<Granted<'_>, PlanError> {
        let plans = self.0.iter().filter_map(|held| Some((held.plan()?, held.quantity)));
        Granted::of(&plans.collect::<Vec<_>>())
    }
}
