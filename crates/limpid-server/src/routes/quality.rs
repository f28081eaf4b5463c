//! What is known of the values themselves, by column.
//!
//! Owns: the document. Does not own: counting and measuring (`limpid-telemetry`).
//!
//! Invariant: counts and ratios, never a value.

use hyper::StatusCode;
use limpid_telemetry::{ColumnSketch, OddTotal};

use super::Asked;
use super::status::unknown;
use crate::answer::Answer;
use crate::api::{QualityColumn, QualityDocument, QualityMeasure, QualityOdd, QualitySample};
use crate::site::Site;

pub(super) fn show(site: &Site, asked: &Asked<'_>) -> Answer {
    let Some(shown) = site.pipeline(&asked.name) else { return unknown(&asked.name) };
    let meter = &shown.view.meter;
    let (options, columns) = meter.sketched().unzip();
    let document = QualityDocument {
        odd: meter.odd_totals().into_iter().map(odd).collect(),
        sample: options.map(|options| QualitySample { one_in: options.one_in, window_rows: options.window_rows }),
        columns: columns.unwrap_or_default().into_iter().map(column).collect(),
    };
    Answer::json(StatusCode::OK, &document)
}

fn odd(total: OddTotal) -> QualityOdd {
    QualityOdd {
        schema: total.schema.into(),
        table: total.table.into(),
        column: total.column.into(),
        reason: total.why.word().to_owned(),
        values: total.values,
    }
}

fn column(sketch: ColumnSketch) -> QualityColumn {
    let measure = |measure: limpid_telemetry::Measure| QualityMeasure {
        measure: measure.name.to_owned(),
        last: measure.last,
        usual: measure.usual,
        drifting: measure.is_away,
    };
    QualityColumn {
        schema: sketch.table.schema.to_string(),
        table: sketch.table.table.to_string(),
        column: sketch.column.to_string(),
        windows: sketch.windows,
        measures: sketch.measures.into_iter().map(measure).collect(),
    }
}
