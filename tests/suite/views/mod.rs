//! The views: they say what the log says, live and rebuilt, whoever folds and whatever happens in between.

pub(crate) mod follow;
mod lists;
mod race;
mod slots;
mod stop;
pub(crate) mod told;
