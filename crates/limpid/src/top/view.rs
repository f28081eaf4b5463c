//! The picture of the live view.
//!
//! Owns: where what stands, and in which colour. Does not own: what is known (`top::app`).
//!
//! Invariant: what is not known is `-`, and what is old says how old it is. Nothing depends on a colour alone.

use limpid_server::api::PipelineStatus;
use limpid_telemetry::catalogue::{
    ERROR_TOTAL, QUEUE_LENGTH, SCHEDULER_SLIDING_WINDOW_RATIO, SNAPSHOT_DUTY_RATIO, SNAPSHOT_REMAINING_SECONDS,
};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table, TableState, Wrap};

use super::app::{App, Page, Prompt, TableLine};
use super::samples::label;
use crate::progress::bytes_text;

/// From here on an answer is called old: three looks.
const OLD_SECONDS: f64 = 3.0;

/// Lines at the bottom for what was asked, at most: a row that was looked up has a dozen.
const TOLD_MAX: u16 = 18;

pub fn draw(frame: &mut Frame<'_>, app: &App, nanos: u64) {
    let told = (app.told.len() as u16).min(TOLD_MAX);
    let parts = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(if told > 0 { told + 1 } else { 0 }),
        Constraint::Length(1),
    ])
    .split(frame.area());
    let [title, body, lower, keys] = [parts[0], parts[1], parts[2], parts[3]];
    frame.render_widget(Paragraph::new(headline(app, nanos)), title);
    match (&app.page, app.pipeline()) {
        (Page::Pipelines, _) => pipelines(frame, app, body),
        (Page::Pipeline(_), Some(pipeline)) => pipeline_page(frame, app, pipeline, body),
        (Page::Pipeline(name), None) => {
            frame.render_widget(Paragraph::new(format!("{name} is not there any more; Esc goes back")), body);
        }
    }
    if told > 0 {
        let lines: Vec<Line<'_>> = app.told.iter().map(|line| Line::from(line.as_str())).collect();
        frame.render_widget(Paragraph::new(lines).block(Block::new().borders(Borders::TOP)), lower);
    }
    frame.render_widget(Paragraph::new(bottom(app)), keys);
}

fn headline(app: &App, nanos: u64) -> Line<'_> {
    let age = nanos.saturating_sub(app.seen_at) as f64 / 1e9;
    let mut spans = vec![
        Span::styled("limpid top", Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(format!("  {}  {} pipelines  ", app.server, app.status.pipelines.len())),
    ];
    match &app.silent {
        Some(why) => spans.push(Span::styled(format!("NO ANSWER, shown as {age:.0} s ago: {why}"), alarm())),
        None if age > OLD_SECONDS => spans.push(Span::styled(format!("shown as {age:.0} s ago"), alarm())),
        None => spans.push(Span::raw(format!("seen {age:.1} s ago"))),
    }
    Line::from(spans)
}

fn alarm() -> Style {
    Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)
}

fn verdict_style(verdict: &str) -> Style {
    match verdict {
        "ok" | "idle" => Style::new().fg(Color::Green),
        "warn" => Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD),
        _ => alarm(),
    }
}

fn seconds_text(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds.abs() < 120.0 => format!("{seconds:.1} s"),
        Some(seconds) if seconds.abs() < 7200.0 => format!("{:.0} min", seconds / 60.0),
        Some(seconds) if seconds.abs() < 172_800.0 => format!("{:.1} h", seconds / 3600.0),
        Some(seconds) => format!("{:.1} d", seconds / 86_400.0),
    }
}

fn head(names: &[&'static str]) -> Row<'static> {
    Row::new(names.to_vec()).style(Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED))
}

fn list(frame: &mut Frame<'_>, table: Table<'_>, selected: usize, place: Rect) {
    let table = table.row_highlight_style(Style::new().add_modifier(Modifier::REVERSED)).highlight_symbol("> ");
    let mut state = TableState::new().with_selected(Some(selected));
    frame.render_stateful_widget(table, place, &mut state);
}

fn pipelines(frame: &mut Frame<'_>, app: &App, body: Rect) {
    let parts = Layout::vertical([Constraint::Min(2), Constraint::Length(3)]).split(body);
    let rows = app.status.pipelines.iter().map(|pipeline| {
        let fault = pipeline.fault.as_ref().map_or("-", |fault| &*fault.code);
        Row::new(vec![
            Cell::from(pipeline.name.clone()),
            Cell::from(pipeline.phase.clone()),
            Cell::from(pipeline.verdict.clone()).style(verdict_style(&pipeline.verdict)),
            Cell::from(format!("{:.0}", pipeline.rows_per_second)),
            Cell::from(seconds_text(pipeline.freshness_seconds)),
            Cell::from(pipeline.lag_bytes.map_or("-".to_owned(), bytes_text)),
            Cell::from(pipeline.rows_parked.to_string()),
            Cell::from(pipeline.rows_dead.to_string()),
            Cell::from(fault.to_owned()),
        ])
    });
    let widths = [
        Constraint::Fill(2),
        Constraint::Length(9),
        Constraint::Length(8),
        Constraint::Length(9),
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Length(7),
        Constraint::Length(6),
        Constraint::Fill(2),
    ];
    let names = ["PIPELINE", "PHASE", "VERDICT", "ROWS/S", "FRESHNESS", "BEHIND", "PARKED", "DEAD", "FAULT"];
    list(frame, Table::new(rows, widths).header(head(&names)), app.selected, parts[0]);
    let reason = app.pipeline().map_or(String::new(), |one| format!("{}: {}", one.name, one.reason));
    frame.render_widget(Paragraph::new(reason).wrap(Wrap { trim: true }), parts[1]);
}

fn pipeline_page(frame: &mut Frame<'_>, app: &App, pipeline: &PipelineStatus, body: Rect) {
    let lines = about(app, pipeline);
    let height = (lines.len() as u16 + 1).min(body.height / 2);
    let parts = Layout::vertical([Constraint::Length(height), Constraint::Min(2)]).split(body);
    frame.render_widget(Paragraph::new(lines), parts[0]);
    let rows = app.tables(pipeline).into_iter().map(table_row);
    let widths = [
        Constraint::Fill(3),
        Constraint::Length(15),
        Constraint::Length(9),
        Constraint::Length(10),
        Constraint::Length(14),
        Constraint::Fill(1),
    ];
    let names = ["TABLE", "PHASE", "ROWS/S", "LAG", "ROWS", "FAULT"];
    list(frame, Table::new(rows, widths).header(head(&names)), app.selected, parts[1]);
}

fn table_row(line: TableLine) -> Row<'static> {
    let copied = line.status.snapshot_ratio.filter(|ratio| *ratio < 1.0);
    let phase =
        copied.map_or(line.status.phase.clone(), |ratio| format!("{} {:.0} %", line.status.phase, ratio * 100.0));
    let fault = line.status.fault.as_ref().map_or(String::new(), |fault| fault.code.clone());
    Row::new(vec![
        Cell::from(line.name()),
        Cell::from(phase),
        Cell::from(format!("{:.0}", line.rate)),
        Cell::from(seconds_text(line.lag_seconds)),
        Cell::from(line.status.rows.map_or("-".to_owned(), |rows| rows.to_string())),
        Cell::from(fault).style(alarm()),
    ])
}

/// What is said of a pipeline above its tables.
fn about<'a>(app: &'a App, pipeline: &'a PipelineStatus) -> Vec<Line<'a>> {
    let dash = || "-".to_owned();
    let verdict = Span::styled(pipeline.verdict.clone(), verdict_style(&pipeline.verdict));
    let mut lines = vec![
        Line::from(vec![
            Span::raw(format!("{}  {}  ", pipeline.name, pipeline.phase)),
            verdict,
            Span::raw("  "),
            Span::raw(&*pipeline.reason),
        ]),
        Line::from(format!(
            "freshness {}   behind {}{}   {:.0} rows/s   {} read, {} delivered, {} filtered, {} parked, {} dead",
            seconds_text(pipeline.freshness_seconds),
            pipeline.lag_bytes.map_or_else(dash, bytes_text),
            pipeline.lag_transactions.map_or(String::new(), |count| format!(" in {count} transactions")),
            pipeline.rows_per_second,
            pipeline.rows_read,
            pipeline.rows_delivered,
            pipeline.rows_filtered,
            pipeline.rows_parked,
            pipeline.rows_dead
        )),
        Line::from(format!("position  {}", pipeline.position.as_deref().unwrap_or("-"))),
        Line::from(format!("head      {}", pipeline.head.as_deref().unwrap_or("-"))),
    ];
    lines.extend(runway(pipeline));
    lines.extend(stages(pipeline));
    lines.extend(queues(app, &pipeline.name));
    lines.extend(copying(app, pipeline));
    lines.extend(errors(app, pipeline));
    lines
}

/// How long the log is kept, and how long it takes to be where it ends.
fn runway(pipeline: &PipelineStatus) -> Option<Line<'_>> {
    let (p50, p90) = (pipeline.catchup_p50_seconds, pipeline.catchup_p90_seconds);
    let by = pipeline.retention_ends_by.as_deref().map_or(String::new(), |by| format!(" by {by}"));
    let kept = pipeline.retention_runway_seconds;
    (kept.is_some() || p50.is_some()).then(|| {
        let (kept, p50, p90) = (seconds_text(kept), seconds_text(p50), seconds_text(p90));
        Line::from(format!("runway    the log is kept for {kept}{by}; caught up in {p50}, nine times of ten in {p90}"))
    })
}

/// What each stage did with the last ten seconds, and which of them sets the pace.
fn stages(pipeline: &PipelineStatus) -> Vec<Line<'_>> {
    let part = |ratio: f64| (ratio * 100.0).round();
    let texts: Vec<String> = pipeline
        .stages
        .iter()
        .map(|stage| {
            let (busy, blocked, idle) = (part(stage.busy), part(stage.blocked), part(stage.idle));
            format!("{} {busy}/{blocked}/{idle}", stage.component)
        })
        .collect();
    let mut lines = Vec::new();
    if !texts.is_empty() {
        lines.push(Line::from(format!("stages    {}  (% busy/blocked/idle)", texts.join("   "))));
    }
    if let Some(found) = &pipeline.bottleneck {
        lines.push(Line::from(format!("pace      {}: {}; {}", found.component, found.why, found.help)));
    }
    lines
}

fn queues<'a>(app: &'a App, pipeline: &str) -> Option<Line<'a>> {
    let with = [("pipeline", pipeline)];
    let mut texts: Vec<String> = Vec::new();
    for (labels, items) in app.samples.of(&QUEUE_LENGTH, &with) {
        let (kind, subtype) = (label(labels, "type"), label(labels, "subtype"));
        let name = if subtype.is_empty() { kind.to_owned() } else { format!("{kind}/{subtype}") };
        texts.push(format!("{name} {items:.0}"));
    }
    for (labels, ratio) in app.samples.of(&SCHEDULER_SLIDING_WINDOW_RATIO, &with) {
        texts.push(format!("{} {:.0} % full", label(labels, "input_stream_key"), ratio * 100.0));
    }
    (!texts.is_empty()).then(|| Line::from(format!("queues    {}", texts.join("   "))))
}

fn copying<'a>(app: &'a App, pipeline: &PipelineStatus) -> Option<Line<'a>> {
    let with = [("pipeline", &*pipeline.name)];
    let copied = |ratio: Option<f64>| ratio.is_some_and(|ratio| ratio < 1.0);
    let under_way = pipeline.tables.iter().filter(|table| copied(table.snapshot_ratio)).count();
    (under_way > 0).then(|| {
        let left = seconds_text(app.samples.one(&SNAPSHOT_REMAINING_SECONDS, &with));
        let duty = app.samples.one(&SNAPSHOT_DUTY_RATIO, &with).filter(|duty| *duty < 0.95);
        let turns =
            duty.map_or(String::new(), |duty| format!(", the source is busy: {:.0} % of the time", duty * 100.0));
        Line::from(format!("copying   {under_way} tables, {left} left{turns}"))
    })
}

fn errors<'a>(app: &'a App, pipeline: &'a PipelineStatus) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    if let Some(fault) = &pipeline.fault {
        lines.push(Line::styled(format!("fault     {}: {}", fault.code, fault.message), alarm()));
        lines.push(Line::from(format!("help      {} ({})", fault.remedy, fault.page)));
    }
    let with = [("pipeline", &*pipeline.name)];
    let counts: Vec<String> = app
        .samples
        .of(&ERROR_TOTAL, &with)
        .map(|(labels, count)| format!("{} {} {count:.0}", label(labels, "component"), label(labels, "error_type")))
        .collect();
    if !counts.is_empty() {
        lines.push(Line::from(format!("errors    {}", counts.join("   "))));
    }
    lines
}

fn bottom(app: &App) -> Line<'_> {
    match &app.prompt {
        Some(Prompt::Sure { pipeline, word }) => {
            Line::styled(format!("{word} {pipeline}? y says yes, any other key no"), alarm())
        }
        Some(Prompt::Key { table, typed, .. }) => Line::from(format!(
            "the key of a row of {table} (42, or a=1,b=x), Enter looks it up, Esc does not: {typed}_"
        )),
        None => Line::from(format!(
            "arrows mark  Enter opens  Esc back  s order ({})  p pause, resume  t where is a row  q ends",
            app.order.word()
        )),
    }
}

#[cfg(test)]
mod tests;
