//! The views: they say what the log says, live and rebuilt, whoever folds and whatever happens in between.

mod follow;
pub(crate) mod told;
