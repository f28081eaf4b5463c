//! The live view at a terminal.
//!
//! Owns: what a person sees there and does by keys. Does not own: what a key means in each case, and sizes (the view's own
//! tests).
//!
//! Invariant: the numbers on the screen are the server's own.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::maria;
use limpid_e2e::{Case, Ended, PATIENCE, Terminal, limpid, program};

fn top(address: &str) -> Result<Terminal> {
    let mut command = Command::new(program());
    command.args(["top", "--server", &format!("http://{address}")]);
    Terminal::start(command)
}

#[test]
fn a_pipeline_is_watched_paused_and_asked_for_a_row_by_keys() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let case = Case::unstarted(
        db,
        "top",
        "create table t (a int primary key, b int); create table u (a int primary key)",
        |s| s,
    )?;
    let mut limpid = case.pipeline.run(&[])?;
    limpid.wait_for("the pipeline is running", PATIENCE)?;
    let address = limpid.address()?;
    let name = &*case.name;
    let mut screen = top(&address)?;
    screen.until(&["limpid top", &format!("> {name}"), "running", "FRESHNESS"])?;
    case.sql("insert into t select seq, seq from seq_1_to_37; insert into u values (5)")?;
    screen.press("\r")?;
    let rows = case.sql("select count(*) from t")?;
    screen.until(&[&format!("{name}.t"), &format!("{name}.u"), "38 read, 38 delivered", rows.trim()])?;
    // By name, so that `t` is the one that is marked.
    screen.press("ss")?;
    screen.until(&["order (name)", &format!("> {name}.t")])?;
    screen.press("t")?;
    screen.until(&["the key of a row of"])?;
    screen.press("17\r")?;
    screen.until(&["insert", "row 16: delivered"])?;
    screen.press("p")?;
    screen.until(&[&format!("pause {name}?")])?;
    screen.press("y")?;
    screen.until(&[&format!("{name}  paused  stop")])?;
    screen.press("p")?;
    screen.until(&[&format!("resume {name}?")])?;
    screen.press("y")?;
    screen.until(&[&format!("{name}  running")])?;
    limpid.signal(libc::SIGTERM);
    ensure!(limpid.wait(PATIENCE)? == Ended::Code(0), "{}", limpid.stderr());
    screen.until(&["NO ANSWER, shown as", "SERVER_UNREACHABLE"])?;
    ensure!(screen.is_taken(), "the view has the screen to itself");
    screen.press("q")?;
    screen.ends_with(0)?;
    ensure!(!screen.is_taken(), "the screen is given back");
    Ok(())
}

#[test]
fn the_terminal_is_given_back_at_a_signal_and_nothing_is_drawn_where_there_is_none() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let case = Case::unstarted(db, "topend", "create table t (a int primary key)", |s| s)?;
    let limpid_run = case.pipeline.run(&[])?;
    limpid_run.wait_for("the pipeline is running", PATIENCE)?;
    let address = limpid_run.address()?;
    let mut screen = top(&address)?;
    screen.until(&["limpid top"])?;
    screen.terminate();
    screen.ends_with(0)?;
    ensure!(!screen.is_taken(), "the screen is given back");
    let mut piped = limpid(&["top", "--server", &format!("http://{address}")])?;
    ensure!(piped.wait(PATIENCE)? == Ended::Code(2) && piped.stdout().is_empty(), "{}", piped.stdout());
    ensure!(piped.stderr().contains("error[USAGE_INVALID]"), "{}", piped.stderr());
    // Nobody answers: said on the terminal as it was, not drawn.
    let mut nobody = top("127.0.0.1:1")?;
    nobody.ends_with(3)?;
    nobody.until(&["error[SERVER_UNREACHABLE]"]).context("nobody answers")
}
