//! What plans grant together: the union of features and limits of everything that is held.

use std::collections::BTreeMap;

use super::PlanError;
use super::catalogue::{Feature, FeatureValue, Plan};
use super::limit::{EffectiveLimit, LimitValue};

/// Features and limits of all plans held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted<'a> {
    /// By name; of two plans that name a feature the higher one decides, unless only the other grants it.
    pub features: BTreeMap<&'a str, &'a Feature>,
    /// In the order of the plans; of two limits on one resource the larger one holds.
    pub limits: Vec<EffectiveLimit<'a>>,
}

impl<'a> Granted<'a> {
    /// Of plans with their quantities.
    pub fn of(held: &[(&'a Plan, u64)]) -> Result<Self, PlanError> {
        let mut ranked = held.to_vec();
        ranked.sort_by_key(|(plan, _)| plan.order);
        let mut granted = Self::default();
        for (plan, quantity) in ranked {
            for feature in &plan.features {
                let known = granted.features.entry(&feature.name).or_insert(feature);
                if feature.is_granted() || !known.is_granted() {
                    *known = feature;
                }
            }
            for effective in plan.limits_for(quantity)? {
                granted.add(effective);
            }
        }
        Ok(granted)
    }

    fn add(&mut self, effective: EffectiveLimit<'a>) {
        let known = self
            .limits
            .iter_mut()
            .find(|known| known.limit.name == effective.limit.name);
        match known {
            Some(known) if known.value < effective.value => *known = effective,
            Some(_) => {}
            None => self.limits.push(effective),
        }
    }

    /// Whether a feature may be used.
    #[must_use]
    pub fn has(&self, feature: &str) -> bool {
        self.features.get(feature).is_some_and(|feature| feature.is_granted())
    }

    /// How much of a resource is granted; none: no plan names it.
    #[must_use]
    pub fn limit(&self, resource: &str) -> Option<LimitValue> {
        let found = self.limits.iter().find(|effective| effective.limit.name == resource);
        found.map(|effective| effective.value)
    }

    /// The value of a feature, as the catalogue writes it.
    #[must_use]
    pub fn feature(&self, name: &str) -> Option<&FeatureValue> {
        self.features.get(name).map(|feature| &feature.value)
    }
}
