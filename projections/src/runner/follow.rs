//! What the loop holds: one unit a slot of a view, and how far it is in each part.

use std::collections::HashMap;

use aggregates::time::Timestamp;

use super::held::Held;
use super::{Progress, Role};
use crate::cache::Cache;
use crate::checkpoint::{self, Checkpoint};
use crate::db::{Db, DbError};
use crate::table::Slot;
use crate::views::View;

/// How far a unit is in one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) position: u64,
    pub(super) stopped: bool,
}

/// One slot of one view, filled by this program's version of the fold.
pub(super) struct Unit {
    pub(super) view: View,
    pub(super) slot: Slot,
    /// Readers use it.
    pub(super) active: bool,
    pub(super) held: Box<dyn Held>,
    /// By part; none where the slot is not filled.
    pub(super) marks: Vec<Option<Mark>>,
}

pub(super) struct Units {
    pub(super) db: Db,
    pub(super) progress: Progress,
    pub(super) cache: Cache,
    pub(super) role: Role,
    pub(super) units: Vec<Unit>,
    /// Number of databases; part `p` lives in database `p % databases`.
    pub(super) databases: u32,
}

impl Units {
    pub(super) fn new(db: Db, progress: Progress, cache: Cache, role: Role) -> Self {
        let databases = u32::try_from(db.pools().len()).unwrap_or(1).max(1);
        Self {
            db,
            progress,
            cache,
            role,
            units: Vec::new(),
            databases,
        }
    }

    pub(super) const fn db(&self) -> &Db {
        &self.db
    }

    pub(super) const fn role(&self) -> Role {
        self.role
    }

    /// Asks the store for all heads.
    pub(super) async fn look_at_heads(&mut self) -> Result<(), DbError> {
        let began = self.progress.now();
        let heads = self.db.refresh_heads().await?;
        self.take(&heads, began);
        Ok(())
    }

    /// Takes the heads this process knows of without asking.
    pub(super) fn take_known_heads(&mut self) {
        let heads: Vec<u64> = (0..self.db.parts()).map(|part| self.db.heads().known(part)).collect();
        let at = self.progress.looked_at();
        for (part, head) in (0_u32..).zip(heads) {
            self.progress.see_head(part, head, at);
        }
    }

    fn take(&mut self, heads: &[u64], at: Timestamp) {
        // Whatever is new was recorded since the last look.
        let since = self.progress.looked_at();
        for (part, head) in (0_u32..).zip(heads) {
            self.progress.see_head(part, *head, since);
        }
        self.progress.looked(at);
    }

    /// Asks the store for checkpoints and slots, and takes over what others changed.
    pub(super) async fn look_at_checkpoints(&mut self) -> Result<(), DbError> {
        let active = checkpoint::read_active(&self.db).await?;
        let found = checkpoint::read_all(&self.db).await?;
        let mut by_unit: HashMap<(View, Slot), Vec<&Checkpoint>> = HashMap::new();
        for checkpoint in &found {
            by_unit
                .entry((checkpoint.view, checkpoint.slot))
                .or_default()
                .push(checkpoint);
        }
        let mut changed = Vec::new();
        let mut slots = Vec::with_capacity(View::ALL.len());
        for view in View::ALL {
            let slot = active.iter().find(|a| a.view == view).map_or(0, |a| a.slot);
            for each in [0, 1] {
                let rows = by_unit.get(&(view, each)).map(Vec::as_slice).unwrap_or_default();
                changed.extend(self.take_checkpoints(view, each, each == slot, rows));
            }
            slots.push((view, slot));
        }
        let waiting = match self.first_waiting(&changed).await {
            Ok(waiting) => waiting,
            Err(error) => {
                // Readers were not told yet: without units the next look finds all of it changed again.
                self.units.clear();
                return Err(error);
            }
        };
        // In this order a reader never finds an older row than the position beside it, whichever slot is ahead: the
        // position steps back, readers move, kept rows go, the position steps forward.
        for (view, part, position) in &changed {
            self.progress.step_back(*view, *part, *position);
        }
        for (view, slot) in slots {
            self.progress.use_slot(view, slot);
        }
        for ((view, part, position), waiting) in changed.iter().zip(waiting) {
            self.cache.forget_part(*view, *part);
            self.progress.found(*view, *part, *position, waiting);
        }
        if !changed.is_empty() {
            self.progress.announce();
        }
        Ok(())
    }

    /// Brings one unit to its checkpoints; answers where readers' positions changed.
    fn take_checkpoints(
        &mut self,
        view: View,
        slot: Slot,
        active: bool,
        rows: &[&Checkpoint],
    ) -> Vec<(View, u32, u64)> {
        let parts = usize::try_from(self.db.parts()).unwrap_or(0);
        let mut marks: Vec<Option<Mark>> = vec![None; parts];
        for row in rows.iter().filter(|row| row.version == view.version()) {
            if let Some(mark) = usize::try_from(row.part).ok().and_then(|part| marks.get_mut(part)) {
                *mark = Some(Mark {
                    position: row.position,
                    stopped: row.stopped_reason.is_some(),
                });
            }
        }
        let at = self
            .units
            .iter()
            .position(|unit| unit.view == view && unit.slot == slot);
        let known = at.map(|at| &self.units[at]);
        let same_use = known.is_some_and(|unit| unit.active == active);
        if same_use && known.is_some_and(|unit| unit.marks == marks) {
            return Vec::new();
        }
        let was: Vec<Option<Mark>> = match known {
            Some(unit) if same_use => unit.marks.clone(),
            Some(_) | None => Vec::new(),
        };
        let unit = Unit {
            view,
            slot,
            active,
            held: view.held(slot, active),
            marks,
        };
        // What readers see rests on the checkpoints of the slot they use, whichever program filled it.
        let mut changed = Vec::new();
        if active {
            for row in rows {
                let mark = Some(Mark {
                    position: row.position,
                    stopped: row.stopped_reason.is_some(),
                });
                let before = usize::try_from(row.part).ok().and_then(|part| was.get(part));
                if before.is_none_or(|before| *before != mark) {
                    changed.push((view, row.part, row.position));
                }
            }
        }
        match at {
            Some(at) => self.units[at] = unit,
            None => self.units.push(unit),
        }
        changed
    }

    /// When the first event after each position was recorded, if there is one.
    async fn first_waiting(&self, places: &[(View, u32, u64)]) -> Result<Vec<Option<Timestamp>>, DbError> {
        let mut known: HashMap<(u32, u64), Option<Timestamp>> = HashMap::new();
        let mut answer = Vec::with_capacity(places.len());
        for (_, part, position) in places {
            let at = match known.get(&(*part, *position)) {
                Some(at) => *at,
                None if self.progress.head(*part) <= *position => None,
                None => {
                    let page = crate::log::read_page(&self.db, *part, *position, 1).await?;
                    page.first().map(|event| event.recorded_at)
                }
            };
            known.insert((*part, *position), at);
            answer.push(at);
        }
        Ok(answer)
    }
}
