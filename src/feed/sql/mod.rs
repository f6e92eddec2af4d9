//! The statements of feeds, by what they are about.

mod lists;
mod muted;
mod ranked;
mod tags;
mod timelines;
mod trending;

pub(super) use lists::*;
pub(super) use muted::*;
pub(super) use ranked::*;
pub(super) use tags::*;
pub(super) use timelines::*;
pub(super) use trending::*;
