//! What is prepared when a stream begins: what was held at the saved position, and what lies before it.
//!
//! Owns: asking the server around the moment the position is taken. Does not own: files and lists (`held`).
//!
//! Invariant: an id that was prepared before the first start and undecided at it is listed durably before the first
//! row; both a question before and one after the position is taken count.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use limpid_connector::{Clock, Next, Saved};
use limpid_model::{Batch, Fault};

use super::{MySqlOptions, MySqlStream};
use crate::client::{Client, QueryError};
use crate::ddl::Xid;
use crate::held::{Held, Listed, Looks, Why, recovered};

/// The start of a stream, as far as XA goes.
pub(super) struct Prepared {
    held: Held,
    listed: Listed,
    /// The list is made now.
    is_first: bool,
}

impl Prepared {
    /// Before the position is taken.
    pub(super) fn begin(
        options: &MySqlOptions,
        saved: Option<&Saved>,
        looks: Arc<Looks>,
        client: &mut Client,
    ) -> Result<Self, Fault> {
        let names = saved.map(|saved| &saved.undecided[..]);
        let held = Held::open(options.held.clone(), names, looks)?;
        let (dir, selection) = (options.held.as_deref(), options.selection.fingerprint());
        // What is listed stays so where a stream begins elsewhere: it may be refused, and its place be the old one again.
        let (listed, is_same) = Listed::load(dir, selection)?;
        let mut prepared = Self { held, listed, is_first: saved.is_none() || !is_same };
        prepared.look(client)?;
        Ok(prepared)
    }

    /// After the position was taken.
    pub(super) fn end(mut self, client: &mut Client) -> Result<Held, Fault> {
        self.look(client)?;
        if self.is_first {
            self.held.list(self.listed)?;
        } else {
            self.held.go_on_with(self.listed);
        }
        Ok(self.held)
    }

    fn look(&mut self, client: &mut Client) -> Result<(), Fault> {
        if self.is_first {
            let ids = ask(client)?.unwrap_or_default();
            ids.into_iter().for_each(|id| self.listed.add(id, Why::BeforeStart));
        }
        Ok(())
    }
}

/// What is prepared is decided within milliseconds, or left alone for much longer than anybody waits.
const WAIT: Duration = Duration::from_secs(2);

impl MySqlStream {
    /// The head is where nothing that was prepared before it is undecided: reads on, and passes over what is committed,
    /// until the log has decided whatever was listed. What is prepared meanwhile is held. Under steady load there is no
    /// moment without something prepared, but each is soon decided; one that is not stays listed.
    pub(super) fn begin_behind_prepared(&mut self) -> Result<(), Fault> {
        if !self.assembler.held.lists_any() {
            return Ok(());
        }
        let clock = Clock::system();
        let end = clock.nanos() + WAIT.as_nanos() as u64;
        let (mut batch, mut is_inside) = (Batch::default(), false);
        self.assembler.held.passes_over = true;
        while is_inside || (self.assembler.held.lists_any() && clock.nanos() < end) {
            batch.clear();
            match self.advance(&mut batch, Duration::from_millis(10))? {
                Next::Batch => {}
                Next::Idle => continue,
                Next::End => break,
            }
            if let Some(reached) = batch.end.take() {
                is_inside = reached.inside().is_some();
                self.opened_at = reached;
            }
        }
        self.assembler.held.passes_over = false;
        self.assembler.schemas.begin_here();
        Ok(())
    }
}

/// The ids that the server lists as prepared; `None` where the account may not ask.
///
/// # Errors
/// A connection that broke.
pub fn ask(client: &mut Client) -> Result<Option<HashSet<Xid>>, Fault> {
    match client.query("XA RECOVER") {
        Ok(rows) => Ok(Some(recovered(&rows))),
        Err(QueryError::Server(_)) => Ok(None),
        Err(error) => Err(error.into_fault("list XA transactions", client.endpoint())),
    }
}
