//! Calls as librdkafka makes them, and the kernel's own answers.

use std::thread;

use super::*;

/// What a call is asked for, what it finds, and for how long it waits.
type Call = (c_int, c_int, c_int);

fn waits(mut caller: Caller, calls: impl IntoIterator<Item = Call>) {
    for (number, (asked, found, expected)) in calls.into_iter().enumerate() {
        assert_eq!(caller.timeout(asked), expected, "call {number}");
        caller = caller.after(asked, found);
    }
}

#[test]
fn a_broker_thread_that_finds_nothing_many_times_waits_until_it_finds_something() {
    let many = || std::iter::repeat_n((0, 0, 0), EMPTY_MAX as usize);
    let broker = Caller::of_name(b"rdk:broker1\0\0\0\0\0");
    waits(broker, many().chain([(0, 0, 1), (0, 0, 1), (0, 1, 1)]).chain(many()).chain([(0, 0, 1)]));
    waits(broker, many().chain([(0, 0, 1), (20, 0, 20)]).chain(many()).chain([(0, 0, 1)]));
    waits(broker, many().chain([(0, -1, 1), (0, 0, 0)]));
    let long = || many().chain(std::iter::repeat_n((0, 0, 1), (LONG_EMPTY_MAX - EMPTY_MAX) as usize));
    waits(broker, long().chain([(0, 0, 10), (0, 0, 10), (0, 2, 10)]).chain(long()).chain([(0, 0, 10)]));
    waits(broker, [(-1, 0, -1), (1, 0, 1), (1000, 3, 1000)]);
}

#[test]
fn any_other_thread_waits_as_it_asks() {
    for name in [&b"rdk:main\0"[..], b"pipeline orders\0", b"\0"] {
        waits(Caller::of_name(name), std::iter::repeat_n((0, 0, 0), 10 * EMPTY_MAX as usize));
    }
}

/// The kernel is asked through pipes, one of which has a byte.
#[test]
fn it_finds_what_poll_finds() {
    let finds = || {
        let (mut ends, mut fds) = ([0; 4], [libc::pollfd { fd: 0, events: libc::POLLIN, revents: 0 }; 2]);
        // SAFETY: each call gets room for two descriptors, and one byte that is there.
        let made = unsafe {
            [
                libc::pipe(ends.as_mut_ptr()),
                libc::pipe(ends.as_mut_ptr().add(2)),
                libc::write(ends[3], [7_u8].as_ptr().cast(), 1) as c_int,
            ]
        };
        assert_eq!(made, [0, 0, 1]);
        (fds[0].fd, fds[1].fd) = (ends[0], ends[2]);
        let mut found = Vec::new();
        for asked in [0, 1, -1] {
            // SAFETY: two entries are there.
            found.push((unsafe { __wrap_poll(fds.as_mut_ptr(), 2, asked) }, fds.map(|fd| fd.revents)));
        }
        for _ in 0..=EMPTY_MAX {
            // SAFETY: one entry is there.
            found.push((unsafe { __wrap_poll(fds.as_mut_ptr(), 1, 0) }, fds.map(|fd| fd.revents)));
        }
        // SAFETY: they are open, and nobody else has them.
        assert_eq!(ends.map(|fd| unsafe { libc::close(fd) }), [0; 4]);
        found
    };
    let expected: Vec<_> = std::iter::repeat_n((1, [0, libc::POLLIN]), 3)
        .chain(std::iter::repeat_n((0, [0, libc::POLLIN]), EMPTY_MAX as usize + 1))
        .collect();
    for name in ["rdk:broker7", "another"] {
        thread::scope(|scope| {
            let thread = thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, finds);
            assert_eq!(thread.unwrap().join().unwrap(), expected, "{name}");
        });
    }
}
