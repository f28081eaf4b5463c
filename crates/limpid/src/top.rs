//! `limpid top`: a running instance as a live view.
//!
//! Owns: the terminal, the loop of keys and pictures, the thread that asks the instance. Does not own: what a key means
//! (`top::app`), what is shown (`top::view`), the call (`limpid-server`).
//!
//! Invariant: the terminal is given back as it was, however the view ends. Keys are answered while the instance is not.

mod app;
mod samples;
mod view;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use limpid_connector::Clock;
use limpid_model::{Component, Fault, FaultCode};
use limpid_server::client::Client;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use crate::cli::TopArguments;
use crate::status::{client, exit_code};
use crate::{report, trace};
use app::{Action, App, Asked, Request};
use samples::Samples;

/// How long a key may wait for its picture.
const KEY_WAIT: Duration = Duration::from_millis(50);

/// What the instance's thread tells.
enum News {
    Seen(Box<Asked>),
    /// What became of a request, in lines.
    Done(Vec<String>),
}

/// Shows until `q`. 2 where there is no terminal, 3 when nobody answers at the start.
pub fn top(arguments: &TopArguments) -> u8 {
    match shown(arguments) {
        Ok(()) => 0,
        Err(fault) => {
            eprintln!("{}", report::fault(&fault));
            exit_code(&fault)
        }
    }
}

fn shown(arguments: &TopArguments) -> Result<(), Fault> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        let text = "the live view needs a terminal";
        let fault = Fault::new(FaultCode::UsageInvalid, Component::Server, text);
        return Err(fault.help("use `limpid status`, or `limpid status --format json`, in scripts"));
    }
    let client = client(&arguments.instance)?;
    // An address where nobody is should not become an empty picture.
    let first = asked(&client)?;
    let clock = Clock::system();
    let mut app = App::new(arguments.instance.server.clone());
    app.seen(Ok(first), clock.nanos());
    let (requests, taken) = channel();
    let (told, news) = channel();
    let every = arguments.interval;
    start_asking(move || ask(&client, every, &taken, &told));
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        // Without it the terminal would stay as the view has it.
        let _ = signal_hook::flag::register(signal, Arc::clone(&ended));
    }
    let mut terminal = ratatui::try_init().map_err(|error| {
        Fault::new(FaultCode::UsageInvalid, Component::Server, "the terminal cannot be used").because(error)
    })?;
    let done = show(&mut terminal, &mut app, &clock, &requests, &news, &ended);
    ratatui::restore();
    done.map_err(|error| Fault::new(FaultCode::UsageInvalid, Component::Server, "the terminal is gone").because(error))
}

/// Pictures and keys, until a key ends it.
fn show(
    terminal: &mut DefaultTerminal,
    app: &mut App,
    clock: &Clock,
    requests: &Sender<Request>,
    news: &Receiver<News>,
    ended: &AtomicBool,
) -> io::Result<()> {
    while !ended.load(Ordering::Relaxed) {
        terminal.draw(|frame| view::draw(frame, app, clock.nanos()))?;
        for news in news.try_iter() {
            match news {
                News::Seen(asked) => app.seen(*asked, clock.nanos()),
                News::Done(lines) => app.done(lines),
            }
        }
        if !event::poll(KEY_WAIT)? {
            continue;
        }
        // Anything else, as a new size, is answered by the next picture.
        let Event::Key(key) = event::read()? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match app.key(key) {
            Action::None => {}
            Action::End => return Ok(()),
            // The thread lives as long as the process.
            Action::Ask(request) => drop(requests.send(request)),
        }
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the view's one thread, which ends with its channels or with the process"
)]
fn start_asking(body: impl FnOnce() + Send + 'static) {
    thread::spawn(body);
}

/// The thread that asks: the status every so often, requests as they come.
fn ask(client: &Client, every: Duration, requests: &Receiver<Request>, told: &Sender<News>) {
    loop {
        let news = match requests.recv_timeout(every) {
            Ok(request) => News::Done(answered(client, &request)),
            Err(RecvTimeoutError::Timeout) => News::Seen(Box::new(asked(client))),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if told.send(news).is_err() {
            return;
        }
    }
}

fn asked(client: &Client) -> Asked {
    let status = client.status()?;
    // Without the metrics the status is still something to show.
    let samples = client.get("/metrics").ok().filter(|answer| answer.status == 200);
    Ok((status, samples.map(|answer| Samples::parse(&answer.text())).unwrap_or_default()))
}

fn answered(client: &Client, request: &Request) -> Vec<String> {
    let said = match request {
        Request::Word { pipeline, word } => {
            client.ask_pipeline(pipeline, word).map(|()| vec![format!("asked: {word} {pipeline}")])
        }
        Request::Trace { pipeline, table, key } => trace::lines(client, pipeline, &[("table", table), ("key", key)]),
    };
    said.unwrap_or_else(|fault| report::fault(&fault).lines().map(str::to_owned).collect())
}
