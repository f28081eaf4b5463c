//! What is here, and what runs.
//!
//! Owns: the index page, the build. Does not own: the OpenAPI document (`openapi`).
//!
//! Invariant: the index names every route.

use std::fmt::Write;

use hyper::StatusCode;

use super::{Asked, ROUTES};
use crate::answer::{Answer, TEXT};
use crate::api::BuildDocument;
use crate::site::Site;

pub(super) fn index(site: &Site, _: &Asked<'_>) -> Answer {
    let mut page = format!("Limpid {}\n\n", site.build.version);
    for route in ROUTES {
        writeln!(page, "{:<40} {}", route.path, route.summary).expect("a string takes all");
    }
    page.push_str("\npipelines:");
    for shown in &site.pipelines {
        write!(page, " {}", shown.view.name).expect("a string takes all");
    }
    page.push('\n');
    Answer::page(TEXT, page)
}

pub(super) fn build(site: &Site, _: &Asked<'_>) -> Answer {
    let document = BuildDocument { version: site.build.version.to_owned(), commit: site.build.commit.to_owned() };
    Answer::json(StatusCode::OK, &document)
}

pub(super) fn openapi(_: &Site, _: &Asked<'_>) -> Answer {
    Answer::json(StatusCode::OK, &crate::openapi::openapi())
}
