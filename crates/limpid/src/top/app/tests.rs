//! Keys without a terminal.

use limpid_model::{Component, FaultCode};
use ratatui::crossterm::event::KeyCode;

use super::*;

/// A status document as an instance writes it; phases of the two pipelines as given.
pub fn document(phases: [&str; 2]) -> StatusDocument {
    let pipeline = |name: &str, phase: &str| {
        let table = |table: &str, rows: u64| {
            format!(
                r#"{{"schema":"s","table":"{table}","phase":"streaming","snapshot_ratio":null,"rows":{rows},"fault":null}}"#
            )
        };
        format!(
            r#"{{"name":"{name}","phase":"{phase}","since":"2026-01-01T00:00:00Z","verdict":"ok","reason":"it follows",
               "position":"gtid:0-1-5","head":"gtid:0-1-6","head_seen_at":null,"freshness_seconds":0.25,"lag_bytes":2048,
               "lag_transactions":3,"retention_runway_seconds":7200.0,
               "retention_ends_by":"expiry","catchup_p50_seconds":1.0,"catchup_p90_seconds":null,"rows_read":9,"rows_delivered":8,"rows_filtered":0,"rows_parked":1,"rows_dead":2,
               "rows_per_second":12.0,"tables":[{},{}],"fault":null}}"#,
            table("a", 3),
            table("b", 5)
        )
    };
    let text = format!(r#"{{"pipelines":[{},{}]}}"#, pipeline("one", phases[0]), pipeline("two", phases[1]));
    serde_json::from_str(&text).expect("the document is the API's")
}

fn samples(lag_a: u32) -> Samples {
    Samples::parse(&format!(
        "gravity_throughput_rows_per_second{{pipeline=\"two\",schema=\"s\",table=\"b\",operation=\"insert\"}} 7\n\
         gravity_throughput_rows_per_second{{pipeline=\"two\",schema=\"s\",table=\"b\",operation=\"update\"}} 4\n\
         gravity_data_lag_seconds_sum{{pipeline=\"two\",schema=\"s\",table=\"a\"}} {}\n\
         gravity_data_lag_seconds_count{{pipeline=\"two\",schema=\"s\",table=\"a\"}} {lag_a}\n",
        lag_a * 3
    ))
}

/// Two pipelines seen twice, the second of them marked.
pub fn seen(phases: [&str; 2]) -> App {
    let mut app = App::new("http://here".to_owned());
    app.seen(Ok((document(phases), samples(1))), 1);
    app.seen(Ok((document(phases), samples(5))), 2);
    press(&mut app, KeyCode::Down);
    app
}

pub fn press(app: &mut App, code: KeyCode) -> Action {
    app.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn typed(app: &mut App, text: &str) {
    text.chars().for_each(|letter| assert_eq!(press(app, KeyCode::Char(letter)), Action::None));
}

#[test]
fn a_pipeline_is_paused_only_when_that_is_said_twice_and_resumed_where_it_stands() {
    for (phase, word) in [("running", "pause"), ("paused", "resume"), ("halted", "resume")] {
        let mut app = seen(["running", phase]);
        assert_eq!(press(&mut app, KeyCode::Char('p')), Action::None);
        assert_eq!(press(&mut app, KeyCode::Char('n')), Action::None, "any other key is no");
        assert_eq!(press(&mut app, KeyCode::Char('y')), Action::None, "it was given up");
        press(&mut app, KeyCode::Char('p'));
        let request = Request::Word { pipeline: "two".to_owned(), word };
        assert_eq!(press(&mut app, KeyCode::Char('y')), Action::Ask(request));
    }
}

#[test]
fn a_key_is_typed_for_the_marked_table_and_q_in_it_is_a_letter() {
    let mut app = seen(["running", "running"]);
    press(&mut app, KeyCode::Char('t'));
    assert_eq!((app.prompt.clone(), app.told.len()), (None, 1), "no table is marked on this page");
    press(&mut app, KeyCode::Enter);
    assert_eq!(app.page, Page::Pipeline("two".to_owned()));
    press(&mut app, KeyCode::Down);
    press(&mut app, KeyCode::Char('t'));
    typed(&mut app, "q=4x");
    press(&mut app, KeyCode::Backspace);
    let request = Request::Trace { pipeline: "two".to_owned(), table: "s.a".to_owned(), key: "q=4".to_owned() };
    assert_eq!(press(&mut app, KeyCode::Enter), Action::Ask(request));
    press(&mut app, KeyCode::Char('t'));
    assert_eq!(press(&mut app, KeyCode::Enter), Action::None, "no key is no question");
    press(&mut app, KeyCode::Esc);
    press(&mut app, KeyCode::Esc);
    assert_eq!((app.page.clone(), app.selected), (Page::Pipelines, 1), "back where it was opened");
    assert_eq!(press(&mut app, KeyCode::Char('q')), Action::End);
}

#[test]
fn tables_stand_by_rate_lag_or_name() {
    let mut app = seen(["running", "running"]);
    press(&mut app, KeyCode::Enter);
    let lines = |app: &App| app.tables(app.pipeline().unwrap());
    let by_rate = lines(&app);
    assert_eq!((by_rate[0].name(), by_rate[0].rate, by_rate[0].lag_seconds), ("s.b".to_owned(), 11.0, None));
    press(&mut app, KeyCode::Char('s'));
    let by_lag = lines(&app);
    assert_eq!((by_lag[0].name(), by_lag[0].lag_seconds), ("s.a".to_owned(), Some(3.0)));
    press(&mut app, KeyCode::Char('s'));
    assert_eq!(lines(&app).iter().map(TableLine::name).collect::<Vec<_>>(), ["s.a", "s.b"]);
}

#[test]
fn what_was_seen_stays_while_nobody_answers_and_the_mark_stays_on_the_list() {
    let mut app = seen(["running", "running"]);
    let fault = Fault::new(FaultCode::ServerUnreachable, Component::Server, "no answer from the instance");
    app.seen(Err(fault), 3);
    assert_eq!((app.status.pipelines.len(), app.seen_at), (2, 2));
    assert!(
        app.silent.as_ref().is_some_and(|why| why.starts_with("SERVER_UNREACHABLE: no answer")),
        "{:?}",
        app.silent
    );
    let mut less = document(["running", "running"]);
    less.pipelines.pop();
    app.seen(Ok((less, Samples::default())), 4);
    assert_eq!((app.selected, app.silent), (0, None));
}
