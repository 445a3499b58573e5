//! What one stream tells, and where in the log it is.

use projections::audit::AuditRow;
use projections::audit::list::{AuditFilter, AuditPlace};
use projections::log::StoredEvent;
use projections::projection::{LogEvent, Projection};

use super::super::page::{CURSOR_BYTES_MAX, Cursors};
use super::super::position::LedgerPosition;
use super::super::problem::{Answer, Problem};
use super::super::resources::audit::AuditLine;
use super::super::resources::history::HistoryEntry;

/// Which events a stream tells.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// What the people of an account may read of its stream.
    Account {
        /// Its part.
        part: u32,
        /// The stream.
        stream: String,
    },
    /// Lines of the audit index.
    Audit(Box<AuditFilter>),
}

/// An event as it is told: its name and its JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Name of the event.
    pub name: String,
    /// JSON of one line.
    pub data: String,
}

/// How far a stream has come in each of its parts, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The parts it follows.
    pub parts: Vec<u32>,
    /// The last position of each that it is past.
    pub positions: Vec<u64>,
}

impl Place {
    /// Past `position` in `part`; a part it does not follow changes nothing.
    pub fn pass(&mut self, part: u32, position: u64) {
        if let Some(at) = self.parts.iter().position(|known| *known == part) {
            self.positions[at] = self.positions[at].max(position);
        }
    }

    /// How far it is in a part; none: it does not follow it.
    #[must_use]
    pub fn position(&self, part: u32) -> Option<u64> {
        let at = self.parts.iter().position(|known| *known == part)?;
        self.positions.get(at).copied()
    }
}

impl Wanted {
    /// The parts it lies in.
    #[must_use]
    pub fn parts(&self, all: u32) -> Vec<u32> {
        match self {
            Self::Account { part, .. } => vec![*part],
            Self::Audit(filter) => filter.parts.clone().unwrap_or_else(|| (0..all).collect()),
        }
    }

    /// Name by which its cursors are bound to it.
    fn list_name(filter: &AuditFilter) -> String {
        format!("audit-stream {filter:?}")
    }

    /// The id under which a stream goes on from `place`; none: with so many parts it does not fit.
    pub fn id(&self, cursors: &Cursors, place: &Place) -> Answer<Option<String>> {
        match self {
            Self::Account { part, .. } => {
                let position = place.position(*part).unwrap_or_default();
                Ok(Some(LedgerPosition { part: *part, position }.to_string()))
            }
            Self::Audit(filter) => {
                let bytes = AuditPlace(place.positions.clone()).encode();
                let id = cursors.write_bytes(&Self::list_name(filter), &bytes);
                Ok(Some(id).filter(|id| id.len() <= CURSOR_BYTES_MAX))
            }
        }
    }

    /// The place of an id; none: it is of another stream, or no id at all.
    #[must_use]
    pub fn place(&self, cursors: &Cursors, parts: &[u32], id: &str) -> Option<Place> {
        let positions = match self {
            Self::Account { part, .. } => {
                let place = LedgerPosition::find(id).filter(|place| place.part == *part)?;
                vec![place.position]
            }
            Self::Audit(filter) => {
                let bytes = cursors.read_bytes(&Self::list_name(filter), id)?;
                AuditPlace::decode(&bytes)?.0
            }
        };
        (positions.len() == parts.len()).then(|| Place {
            parts: parts.to_vec(),
            positions,
        })
    }

    /// The event as it is told; none: it is not for this stream.
    pub fn told(&self, event: StoredEvent) -> Answer<Option<Told>> {
        match self {
            Self::Account { .. } => of_account(event),
            Self::Audit(filter) => {
                let (part, row) = index_row(event)?;
                Ok(filter.matches(part, &row).then(|| of_index(part, row)).transpose()?)
            }
        }
    }
}

/// An account's event in the words of its history; none: it is not for its people.
pub fn of_account(event: StoredEvent) -> Answer<Option<Told>> {
    let Some(entry) = HistoryEntry::of(event)? else {
        return Ok(None);
    };
    Ok(Some(Told {
        name: entry.name().to_owned(),
        data: serde_json::to_string(&entry).map_err(Problem::internal)?,
    }))
}

/// The row the index has of an event.
pub fn index_row(event: StoredEvent) -> Answer<(u32, AuditRow)> {
    let part = event.part;
    let mut row = None;
    projections::audit::Audit::fold(&mut row, &LogEvent::from(event)).map_err(Problem::internal)?;
    let row = row.ok_or_else(|| Problem::internal("an event has no row in the index"))?;
    Ok((part, row))
}

/// A row of the index as it is told.
pub fn of_index(part: u32, row: AuditRow) -> Answer<Told> {
    let name = row.event_type.to_string();
    let data = serde_json::to_string(&AuditLine::of(part, row)).map_err(Problem::internal)?;
    Ok(Told { name, data })
}
