//! Which server of a list is read, and why the others are not.
//!
//! Owns: the order of asking, what was seen of each server, the fault of a round in which none would do. Does not own:
//! the proof that a server holds a position (`stream::reach`), pauses between rounds (the engine).
//!
//! Invariant: a round ends for good only when every server has given a reason that trying again cannot mend; one that is
//! away or still catching up keeps the pipeline trying.

use limpid_connector::Clock;
use limpid_model::{Component, Fault, FaultCode, FaultKind};

use super::reach::{Patience, Role};
use crate::client::ConnectOptions;

/// A server of the list.
pub(super) struct Server {
    pub connect: ConnectOptions,
    pub patience: Patience,
}

/// The servers that a source may be read from: one at least.
pub(super) struct Servers {
    list: Vec<Server>,
    /// The one that was read last; the first until one was.
    in_use: usize,
    /// Those passed over in the last round, with the reason.
    passed_over: Vec<(String, Fault)>,
}

impl Servers {
    pub(super) fn new(first: &ConnectOptions, others: &[ConnectOptions]) -> Self {
        let all = std::iter::once(first).chain(others);
        let clock = Clock::system();
        let list = all.map(|connect| Server { connect: connect.clone(), patience: Patience::new(&clock) }).collect();
        Self { list, in_use: 0, passed_over: Vec::new() }
    }

    /// The one that is read.
    pub(super) fn in_use(&self) -> &ConnectOptions {
        &self.list[self.in_use].connect
    }

    /// The order of asking: the one that was read last, then the others as they stand in the list, round.
    pub(super) fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let (first, count) = (self.in_use, self.list.len());
        (0..count).map(move |nth| (first + nth) % count)
    }

    pub(super) fn role(&self, nth: usize) -> Role {
        match (self.list.len(), nth == self.in_use) {
            (1, _) => Role::Only,
            (_, true) => Role::InUse,
            (_, false) => Role::Successor,
        }
    }

    pub(super) fn connect(&self, nth: usize) -> &ConnectOptions {
        &self.list[nth].connect
    }

    pub(super) fn get(&mut self, nth: usize) -> (&mut Server, Role) {
        let role = self.role(nth);
        (&mut self.list[nth], role)
    }

    /// The round ended with this one.
    pub(super) fn took(&mut self, nth: usize, refused: Vec<(usize, Fault)>) {
        self.in_use = nth;
        self.pass_over(refused);
    }

    /// No server would do.
    pub(super) fn gave_up(&mut self, mut refused: Vec<(usize, Fault)>) -> Fault {
        if self.list.len() == 1
            && let Some((_, fault)) = refused.pop()
        {
            return fault;
        }
        let fault = self.conclude(&refused);
        self.pass_over(refused);
        fault
    }

    /// The fault of a round in which every server was refused.
    pub(super) fn conclude(&self, refused: &[(usize, Fault)]) -> Fault {
        let faults: Vec<&Fault> = refused.iter().map(|(_, fault)| fault).collect();
        let (code, text) = verdict(&faults);
        let reasons = refused.iter().map(|(nth, fault)| {
            let endpoint = self.list[*nth].connect.endpoint();
            format!("{endpoint}: {fault} ({})", fault.code())
        });
        let reasons = reasons.collect::<Vec<_>>().join("; ");
        let endpoints: Vec<String> = self.list.iter().map(|server| server.connect.endpoint()).collect();
        let fault = Fault::new(code, Component::Input, text).about(endpoints.join(","));
        fault.help(format!("{reasons}. {}", plan(code)))
    }

    fn pass_over(&mut self, refused: Vec<(usize, Fault)>) {
        let named = refused.into_iter().map(|(nth, fault)| (self.list[nth].connect.endpoint(), fault));
        self.passed_over = named.collect();
    }

    pub(super) fn take_passed_over(&mut self) -> Vec<(String, Fault)> {
        std::mem::take(&mut self.passed_over)
    }
}

/// What a round comes to in which every server was refused.
fn verdict(faults: &[&Fault]) -> (FaultCode, &'static str) {
    let any = |code: FaultCode| faults.iter().any(|fault| fault.code() == code);
    let is_over = faults.iter().all(|fault| fault.kind() == FaultKind::Definite);
    match is_over {
        false if any(FaultCode::SourceBehind) => (
            FaultCode::SourceBehind,
            "a server of the list is still catching up with the position, and no other can be read",
        ),
        false => (FaultCode::SourceUnreachable, "no server of the list can be read now"),
        true if any(FaultCode::SourceLogPurged) => {
            (FaultCode::SourceLogPurged, "no server of the list still has the log from the position")
        }
        true if any(FaultCode::SourceChanged) => {
            (FaultCode::SourceChanged, "no server of the list has what the position holds")
        }
        true => {
            let code = faults.first().map_or(FaultCode::SourceUnreachable, |fault| fault.code());
            (code, "no server of the list can be read")
        }
    }
}

/// What to do, behind the reasons.
const fn plan(code: FaultCode) -> &'static str {
    match code {
        FaultCode::SourceBehind => "Nothing is to be done if its replication runs; see the page",
        FaultCode::SourceUnreachable => "Bring one of them back that holds the position; the others stay refused",
        FaultCode::SourceLogPurged | FaultCode::SourceChanged => {
            "Put a server into source.url that holds the position and its log; else copy the tables anew \
             (source.snapshot: when-needed), see the page"
        }
        _ => "Mend what is said of each, or take it out of source.url",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(codes: &[FaultCode]) -> FaultCode {
        let faults: Vec<Fault> = codes.iter().map(|code| Fault::new(*code, Component::Input, "so")).collect();
        verdict(&faults.iter().collect::<Vec<_>>()).0
    }

    #[test]
    fn a_round_is_over_only_when_every_server_is_out_for_good() {
        use FaultCode as C;
        assert_eq!(round(&[C::SourceUnreachable, C::SourceChanged]), C::SourceUnreachable);
        assert_eq!(round(&[C::SourceUnreachable, C::SourceBehind, C::SourceChanged]), C::SourceBehind);
        assert_eq!(round(&[C::SourceChanged, C::SourceLogPurged]), C::SourceLogPurged);
        assert_eq!(round(&[C::SourceAuthFailed, C::SourceChanged]), C::SourceChanged);
        assert_eq!(round(&[C::SourceAuthFailed, C::SourceLogOff]), C::SourceAuthFailed);
    }
}
