//! What looks leave behind, over positions of logs that began anew.

use limpid_connector::ClockSample;
use limpid_connector::testkit::done;

use super::*;

/// A look with so much saved, the sink there, and the log ending at `head`.
fn is_back(watch: &mut Watch, saved: usize, covered: usize, head: usize, forgotten: u64) -> bool {
    let place = Place { saved: Some(done(saved)), forgotten, ..Place::default() };
    watch.forget(&place, &done(head));
    watch.is_back(&place, &done(covered))
}

#[test]
fn a_position_that_was_set_back_is_told_until_it_is_there_again() {
    let mut watch = Watch::default();
    assert!(!is_back(&mut watch, 100, 100, 120, 0));
    for covered in 50..100 {
        assert!(is_back(&mut watch, covered, covered, 200, 0), "{covered}");
    }
    assert!(is_back(&mut watch, 99, 99, 9000, 0), "however often");
    assert!(!is_back(&mut watch, 100, 100, 9000, 0));
}

#[test]
fn a_position_of_a_log_that_is_gone_is_no_measure() {
    let mut watch = Watch::default();
    assert!(!is_back(&mut watch, 100, 100, 120, 0));
    assert!(!is_back(&mut watch, 5, 5, 7, 1), "it was forgotten: nothing there is reached again");

    let mut watch = Watch::default();
    assert!(!is_back(&mut watch, 100, 100, 120, 0));
    // The log began anew, and somebody had the stream go there.
    for look in 0..BEYOND_MAX {
        assert!(is_back(&mut watch, 5, 5, 7, 0), "look {look}");
    }
    assert!(!is_back(&mut watch, 6, 6, 8, 0), "it was told, and is never there again");
}

#[test]
fn until_a_look_proves_an_age_commit_times_tell_it_by_the_sources_clock() {
    let mut watch = Watch::default();
    let mut place = Place { committed_micros: Some(5_000_000_000), ..Place::default() };
    assert_eq!(watch.age_by_commit(&place, 0), None, "nobody knows the source's clock");
    watch.clock.compare(ClockSample { source_micros: 5_600_000_000, sent_nanos: 1_000_000, got_nanos: 1_000_000 });
    assert_eq!(watch.age_by_commit(&place, 1_000_000).map(|age| age / 1_000_000_000), Some(600));
    place.committed_micros = Some(9_000_000_000);
    assert_eq!(watch.age_by_commit(&place, 1_000_000), Some(0), "somebody set the time");
}
