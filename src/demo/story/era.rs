//! The eras of Stripe's API shapes that a story can be told in.

/// A Stripe API version whose shapes a story is rendered in: the first of its name, or a well-known one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Era {
    /// 2023-10-16, before the named versions.
    Unnamed,
    /// 2024-09-30: period, payment and subscription at the top of their objects.
    Acacia,
    /// 2025-03-31: period on the items, `parent` on invoices and lines, payments apart.
    Basil,
    /// 2025-09-30: coupons behind `source`.
    Clover,
    /// 2026-03-25: decimal quantities on lines.
    Dahlia,
    /// 2026-09-30: trials on the items, details of a pause.
    Endive,
}

impl Era {
    /// All of them, oldest first.
    pub const ALL: [Self; 6] = [
        Self::Unnamed,
        Self::Acacia,
        Self::Basil,
        Self::Clover,
        Self::Dahlia,
        Self::Endive,
    ];

    /// The value of `api_version` in an event of this era.
    #[must_use]
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::Unnamed => "2023-10-16",
            Self::Acacia => "2024-09-30.acacia",
            Self::Basil => "2025-03-31.basil",
            Self::Clover => "2025-09-30.clover",
            Self::Dahlia => "2026-03-25.dahlia",
            Self::Endive => "2026-09-30.endive",
        }
    }
}
