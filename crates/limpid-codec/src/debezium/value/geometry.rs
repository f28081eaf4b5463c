//! Spatial values.
//!
//! Owns: the structs of `io.debezium.data.geometry`. Does not own: coordinates, which stay as the server stored them.
//!
//! Invariant: the WKB is copied, never parsed but for a point's two coordinates.

use crate::json::{Alphabet, put_base64, put_f64, put_u64};

/// The servers' form: four bytes of SRID, little-endian, then WKB. SRID 0 is told as null.
fn split_geometry(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (srid, wkb) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*srid), wkb))
}

fn put_wkb_and_srid(out: &mut Vec<u8>, srid: u32, wkb: &[u8]) {
    out.extend_from_slice(b"\"wkb\":\"");
    put_base64(out, wkb, Alphabet::Standard);
    out.extend_from_slice(b"\",\"srid\":");
    match srid {
        0 => out.extend_from_slice(b"null"),
        srid => put_u64(out, srid as u64),
    }
    out.push(b'}');
}

pub(super) fn put(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let Some((srid, wkb)) = split_geometry(bytes) else { return false };
    out.push(b'{');
    put_wkb_and_srid(out, srid, wkb);
    true
}

/// Where a point lies. Its WKB: byte order, type 1, x, y.
fn coordinates(wkb: &[u8]) -> Option<[f64; 2]> {
    let (order, rest) = wkb.split_first()?;
    let read = if *order == 0 { f64::from_be_bytes } else { f64::from_le_bytes };
    Some([read(rest.get(4..12)?.try_into().ok()?), read(rest.get(12..20)?.try_into().ok()?)])
}

/// False for a point with a coordinate that is no number.
pub(super) fn is_finite(bytes: &[u8]) -> bool {
    let at = split_geometry(bytes).and_then(|(_, wkb)| coordinates(wkb));
    at.is_none_or(|at| at.iter().all(|coordinate| coordinate.is_finite()))
}

pub(super) fn put_point(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let Some((srid, wkb)) = split_geometry(bytes) else { return false };
    let Some([x, y]) = coordinates(wkb) else { return false };
    out.extend_from_slice(b"{\"x\":");
    put_f64(out, x);
    out.extend_from_slice(b",\"y\":");
    put_f64(out, y);
    out.push(b',');
    put_wkb_and_srid(out, srid, wkb);
    true
}
