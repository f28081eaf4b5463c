//! Bytes that no server would send: whatever they are, a fault comes of them, and memory stays in proportion.
//!
//! Owns: making such bytes out of recorded logs and out of nothing, and counting what is asked of the allocator. Does
//! not own: the readers, which are reached through `limpid_mysql::fuzzing`; longer runs (`fuzz/`).
//!
//! Invariant: checksums of changed events are made good, or else nothing behind them would ever be reached.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::OnceLock;

use limpid_mysql::{Flavor, fuzzing};
use proptest::prelude::*;

/// Remembers the largest request of each thread.
struct Counting;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn note(bytes: usize) {
    // A thread that ends may free what it no longer can count.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(bytes)));
}

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as the caller promised us.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as the caller promised us.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: as the caller promised us.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised us.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The largest request while `run` runs, in bytes.
fn largest(run: impl FnOnce()) -> usize {
    LARGEST.with(|largest| largest.set(0));
    run();
    LARGEST.with(Cell::get)
}

/// A row of NULLs is one bit a column in the log and a cell of 16 bytes in a batch, in a vector that doubles; JSON text
/// may be 150 times as long as its binary form. Blocks and the tables of character sets are there for any input.
fn bound(input: usize) -> usize {
    512 * input + 512 * 1024
}

/// A recorded log, cut into its events.
struct Recorded {
    flavor: Flavor,
    events: Vec<Vec<u8>>,
}

fn recorded() -> &'static [Recorded] {
    static RECORDED: OnceLock<Vec<Recorded>> = OnceLock::new();
    RECORDED.get_or_init(|| {
        let files = [
            (Flavor::MariaDb, "mariadb/bin.000001"),
            (Flavor::MariaDb, "mariadb/bin.000002"),
            (Flavor::MySql, "mysql/bin.000001"),
            (Flavor::MySql, "mysql/bin.000002"),
        ];
        let folder =
            std::env::var("CARGO_MANIFEST_DIR").expect("cargo runs the tests") + "/../../tests/oracle/fixtures/";
        let read = |(flavor, file): (Flavor, &str)| {
            let bytes = std::fs::read(format!("{folder}{file}")).expect("the fixture is there");
            let mut events = Vec::new();
            let mut rest = &bytes[4..];
            while !rest.is_empty() {
                let size = u32::from_le_bytes(rest[9..13].try_into().expect("four bytes")) as usize;
                let (event, after) = rest.split_at(size);
                events.push(event.to_vec());
                rest = after;
            }
            Recorded { flavor, events }
        };
        files.into_iter().map(read).collect()
    })
}

/// One way to spoil an event; numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Spoil {
    Flip { at: usize, mask: u8 },
    Set { at: usize, bytes: Vec<u8> },
    Cut { to: usize },
    Remove { at: usize, len: usize },
    Repeat,
    Drop,
    Kind { kind: u8 },
}

fn spoil() -> impl Strategy<Value = Spoil> {
    prop_oneof![
        4 => (any::<usize>(), 1..=255u8).prop_map(|(at, mask)| Spoil::Flip { at, mask }),
        2 => (any::<usize>(), prop_oneof![
            Just(vec![0xff; 4]),
            Just(vec![0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
            Just(vec![0; 8]),
            Just(vec![0xfc, 0xff, 0xff]),
        ]).prop_map(|(at, bytes)| Spoil::Set { at, bytes }),
        1 => any::<usize>().prop_map(|to| Spoil::Cut { to }),
        1 => (any::<usize>(), 1..20usize).prop_map(|(at, len)| Spoil::Remove { at, len }),
        1 => Just(Spoil::Repeat),
        1 => Just(Spoil::Drop),
        1 => prop_oneof![0..45u8, 160..172u8].prop_map(|kind| Spoil::Kind { kind }),
    ]
}

/// The body between header and checksum is spoiled; size and checksum are made good.
fn spoiled(event: &[u8], how: &Spoil) -> Vec<Vec<u8>> {
    let mut head = event[..19].to_vec();
    let mut body = event[19..event.len() - 4].to_vec();
    let len = body.len().max(1);
    match how {
        Spoil::Flip { at, mask } => body.iter_mut().skip(at % len).take(1).for_each(|byte| *byte ^= mask),
        Spoil::Set { at, bytes } => body.iter_mut().skip(at % len).zip(bytes).for_each(|(byte, new)| *byte = *new),
        Spoil::Cut { to } => body.truncate(to % len),
        Spoil::Remove { at, len: gone } => {
            let at = at % len;
            body.drain(at.min(body.len())..(at + gone).min(body.len()));
        }
        Spoil::Repeat => return vec![event.to_vec(), event.to_vec()],
        Spoil::Drop => return Vec::new(),
        Spoil::Kind { kind } => head[4] = *kind,
    }
    head[9..13].copy_from_slice(&(19 + body.len() as u32 + 4).to_le_bytes());
    head.extend(body);
    let sum = crc32fast::hash(&head);
    head.extend_from_slice(&sum.to_le_bytes());
    vec![head]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, max_shrink_iters: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn spoiled_logs_end_in_a_fault_or_not_at_all(
        which in 0..4usize,
        spoils in proptest::collection::vec((any::<usize>(), spoil()), 1..6),
    ) {
        let Recorded { flavor, events } = &recorded()[which];
        let mut events: Vec<Vec<Vec<u8>>> = events.iter().map(|event| vec![event.clone()]).collect();
        for (nth, how) in &spoils {
            // The first event says what the log is: without it there is nothing to read.
            let nth = 1 + nth % (events.len() - 1);
            events[nth] = events[nth].iter().flat_map(|event| spoiled(event, how)).collect();
        }
        let mut log = b"\xfebin".to_vec();
        events.iter().flatten().for_each(|event| log.extend_from_slice(event));
        let largest = largest(|| _ = fuzzing::log(&log, *flavor));
        prop_assert!(largest <= bound(log.len()), "{largest} bytes for a log of {}", log.len());
    }

    #[test]
    fn rows_of_random_bytes_end_in_a_fault(
        which in 0..4usize,
        noise in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let Recorded { flavor, events } = &recorded()[which];
        let mut log = b"\xfebin".to_vec();
        for event in events {
            // Only the frame of each rows event is left: table id, flags, columns.
            let rows = matches!(event[4], 23..=25 | 30..=32 | 39);
            if !rows || event.len() < 40 {
                log.extend_from_slice(event);
                continue;
            }
            let mut made = event[..33].to_vec();
            made.extend_from_slice(&noise);
            let size = made.len() as u32 + 4;
            made[9..13].copy_from_slice(&size.to_le_bytes());
            let sum = crc32fast::hash(&made);
            made.extend_from_slice(&sum.to_le_bytes());
            log.extend(made);
        }
        let largest = largest(|| _ = fuzzing::log(&log, *flavor));
        prop_assert!(largest <= bound(log.len()), "{largest} bytes for a log of {}", log.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_that_are_no_log_end_in_a_fault(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        magic in any::<bool>(),
    ) {
        let log = [if magic { &b"\xfebin"[..] } else { b"" }, &bytes].concat();
        for flavor in [Flavor::MySql, Flavor::MariaDb] {
            let largest = largest(|| _ = fuzzing::log(&log, flavor));
            prop_assert!(largest <= bound(log.len()), "{largest} bytes for a log of {}", log.len());
        }
    }

    #[test]
    fn bytes_that_are_no_json_are_refused(bytes in proptest::collection::vec(prop_oneof![0..16u8, any::<u8>()], 0..400)) {
        let largest = largest(|| fuzzing::json(&bytes));
        prop_assert!(largest <= bound(bytes.len()), "{largest} bytes for {}", bytes.len());
    }

    #[test]
    fn gtid_sets_of_any_text_or_bytes_end(
        text in "[0-9a-f:, -]{0,60}|(3e11fa47-71ca-11e1-9e33-c80aa9429562(:[a-z_]{1,3})?(:[0-9]{1,20}(-[0-9]{1,20})?){1,3},?){1,3}",
        bytes in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()], 0..200),
    ) {
        for input in [text.as_bytes(), &bytes] {
            let largest = largest(|| fuzzing::gtid(input));
            prop_assert!(largest <= bound(input.len()), "{largest} bytes for {}", input.len());
        }
    }

    #[test]
    fn statements_of_any_words_end(
        chosen in any::<u8>(),
        words in proptest::collection::vec(prop_oneof![
            4 => "(?i)alter|table|t|add|drop|column|modify|change|rename|to|create|as|like|select|primary|key|unique|index|\
                  first|after|character|set|enum|varchar|decimal|int|convert|partition|by|if|exists|not|or|replace|a|b|c|\
                  default|generated|always|constraint|check|references|insert|update|delete|from|where|truncate",
            4 => "[(),;.=`'\"@#*/!-]",
            2 => "[0-9]{1,12}",
            1 => "'[a-z]{0,3}'|`[a-z]{1,3}`|/\\*![0-9]{5}|\\*/|-- |x'[0-9a-f]{0,4}'",
            1 => "\\PC{0,4}",
        ], 0..60),
    ) {
        let mut input = vec![chosen];
        input.extend_from_slice(words.join(" ").as_bytes());
        let largest = largest(|| fuzzing::statement(&input));
        prop_assert!(largest <= bound(input.len()), "{largest} bytes for {}", input.len());
    }

    #[test]
    fn text_of_any_bytes_in_any_set_becomes_text(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let largest = largest(|| fuzzing::text(&bytes));
        prop_assert!(largest <= bound(bytes.len()), "{largest} bytes for {}", bytes.len());
    }
}
