//! The views: they say what the log says, live and rebuilt, whoever folds and whatever happens in between.

mod follow;
mod overtaken;
pub(crate) mod told;
