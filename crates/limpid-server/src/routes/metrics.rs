//! `/metrics`.
//!
//! Owns: the choice of the format. Does not own: the page (`limpid-telemetry`).
//!
//! Invariant: a scraper gets a page, whatever it asks for.

use limpid_telemetry::negotiate;

use super::Asked;
use crate::answer::Answer;
use crate::site::Site;

pub(super) fn metrics(site: &Site, asked: &Asked<'_>) -> Answer {
    let format = negotiate(asked.accept.as_deref());
    Answer::page(format.content_type(), site.registry.render(format, site.now()))
}
