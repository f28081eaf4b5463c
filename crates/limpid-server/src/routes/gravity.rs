//! `/status` as Gravity tells it.
//!
//! Owns: its shape. Does not own: what the fields mean here (`status` has the full story).
//!
//! Invariant: with one pipeline, or with `?pipeline=NAME`, it is Gravity's object; with several it is a list of such
//! objects in the order of the command line, since Gravity has one pipeline a process and no word for more. Where
//! Gravity answers 500, before the first position, `position` is empty here: nothing is wrong then.

use std::collections::BTreeMap;

use hyper::StatusCode;
use limpid_telemetry::{Moment, rfc3339};

use super::{Asked, status};
use crate::answer::Answer;
use crate::api::{GravityStatus, GravityWatermark};
use crate::site::{Shown, Site};

pub(super) fn status(site: &Site, asked: &Asked<'_>) -> Answer {
    let now = site.now();
    let name = match asked.parameter("pipeline") {
        Ok(name) => name,
        Err(answer) => return answer,
    };
    match (name, site.pipelines.as_slice()) {
        (Some(name), _) => match site.pipeline(&name) {
            Some(shown) => Answer::json(StatusCode::OK, &pipeline(site, shown, now)),
            None => status::unknown(&name),
        },
        (None, [only]) => Answer::json(StatusCode::OK, &pipeline(site, only, now)),
        (None, several) => {
            let list: Vec<_> = several.iter().map(|shown| pipeline(site, shown, now)).collect();
            Answer::json(StatusCode::OK, &list)
        }
    }
}

fn pipeline(site: &Site, shown: &Shown, now: Moment) -> GravityStatus {
    let status = shown.status();
    let freshness = shown.view.meter.totals(now).freshness_seconds;
    // Absent until anything is known of it.
    let watermark = freshness.map(|seconds| {
        let event_time = rfc3339(now.wall_micros - (seconds * 1e6) as i64);
        (shown.view.stream_key.clone(), GravityWatermark { process_time: rfc3339(status.moved_micros), event_time })
    });
    GravityStatus {
        name: shown.view.name.clone(),
        config_hash: shown.view.config_hash.clone(),
        position: status.position.unwrap_or_default(),
        watermarks: BTreeMap::from_iter(watermark),
        stage: "Incremental".to_owned(),
        version: site.build.version.to_owned(),
    }
}
