//! Pictures on a terminal that is none.

use limpid_model::{Component, Fault, FaultCode};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::KeyCode;

use super::super::app::tests::{press, seen};
use super::*;

fn picture(app: &App, nanos: u64, size: (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|frame| draw(frame, app, nanos)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let line = |y: u16| (0..size.0).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..size.1).map(|y| line(y).trim_end().to_owned() + "\n").collect()
}

#[test]
fn all_pipelines_stand_with_their_verdicts_and_the_marked_ones_reason() {
    let text = picture(&seen(["running", "paused"]), 2_500_000_000, (120, 12));
    for part in ["seen 2.5 s ago", "> two", "paused", "0.2 s", "two: it follows", "q ends"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn a_pipeline_is_shown_with_its_tables_and_old_news_as_old() {
    let mut app = seen(["running", "running"]);
    press(&mut app, KeyCode::Enter);
    let fault = Fault::new(FaultCode::ServerUnreachable, Component::Server, "no answer from the instance");
    app.seen(Err(fault), 3);
    let text = picture(&app, 9_000_000_000, (140, 24));
    for part in [
        "NO ANSWER, shown as 9 s ago: SERVER_UNREACHABLE",
        "gtid:0-1-5",
        "> s.b",
        "9 read, 8 delivered",
        "in 3 transactions",
        "kept for 2.0 h by expiry",
        "nine times of ten in -",
        "order (rate)",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn no_size_of_a_terminal_is_too_small() {
    let mut app = seen(["running", "running"]);
    for _ in 0..2 {
        for size in [(1, 1), (2, 3), (20, 4), (80, 2), (500, 200)] {
            picture(&app, 1, size);
        }
        press(&mut app, KeyCode::Enter);
        press(&mut app, KeyCode::Char('t'));
        app.done(vec!["a line".to_owned(); 40]);
    }
}
