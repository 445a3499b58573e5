//! The list of all views.

use crate::audit::Audit;
use crate::entitlements::Entitlements;
use crate::invoices::Invoices;
use crate::money::Money;
use crate::projection::Projection;
use crate::quota::Quota;
use crate::runner::{Held, HeldRows};
use crate::status::Status;
use crate::table::{Slot, Table};

/// A view by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum View {
    /// Where accounts stand.
    Status,
    /// What accounts may use.
    Entitlements,
    /// How much accounts may use.
    Quota,
    /// Invoices.
    Invoices,
    /// Money outside invoices.
    Money,
    /// The index of all events.
    Audit,
}

impl View {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Status,
        Self::Entitlements,
        Self::Quota,
        Self::Invoices,
        Self::Money,
        Self::Audit,
    ];

    /// Its name in tables, checkpoints and commands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Status => Status::NAME,
            Self::Entitlements => Entitlements::NAME,
            Self::Quota => Quota::NAME,
            Self::Invoices => Invoices::NAME,
            Self::Money => Money::NAME,
            Self::Audit => Audit::NAME,
        }
    }

    /// The view of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|view| view.name() == name)
    }

    /// Version of its fold in this program.
    #[must_use]
    pub const fn version(self) -> u32 {
        match self {
            Self::Status => Status::VERSION,
            Self::Entitlements => Entitlements::VERSION,
            Self::Quota => Quota::VERSION,
            Self::Invoices => Invoices::VERSION,
            Self::Money => Money::VERSION,
            Self::Audit => Audit::VERSION,
        }
    }

    /// Its table.
    #[must_use]
    pub const fn table(self) -> Table {
        match self {
            Self::Status => Status::TABLE,
            Self::Entitlements => Entitlements::TABLE,
            Self::Quota => Quota::TABLE,
            Self::Invoices => Invoices::TABLE,
            Self::Money => Money::TABLE,
            Self::Audit => Audit::TABLE,
        }
    }

    /// Reads account streams only.
    #[must_use]
    pub const fn accounts_only(self) -> bool {
        match self {
            Self::Status => Status::ACCOUNTS_ONLY,
            Self::Entitlements => Entitlements::ACCOUNTS_ONLY,
            Self::Quota => Quota::ACCOUNTS_ONLY,
            Self::Invoices => Invoices::ACCOUNTS_ONLY,
            Self::Money => Money::ACCOUNTS_ONLY,
            Self::Audit => Audit::ACCOUNTS_ONLY,
        }
    }

    /// Its place in lists by view.
    #[must_use]
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Status => 0,
            Self::Entitlements => 1,
            Self::Quota => 2,
            Self::Invoices => 3,
            Self::Money => 4,
            Self::Audit => 5,
        }
    }

    /// Empty rows of one of its slots.
    pub(crate) fn held(self, slot: Slot, keep: bool) -> Box<dyn Held> {
        match self {
            Self::Status => Box::new(HeldRows::<Status>::new(slot, keep)),
            Self::Entitlements => Box::new(HeldRows::<Entitlements>::new(slot, keep)),
            Self::Quota => Box::new(HeldRows::<Quota>::new(slot, keep)),
            Self::Invoices => Box::new(HeldRows::<Invoices>::new(slot, keep)),
            Self::Money => Box::new(HeldRows::<Money>::new(slot, keep)),
            Self::Audit => Box::new(HeldRows::<Audit>::new(slot, keep)),
        }
    }
}
