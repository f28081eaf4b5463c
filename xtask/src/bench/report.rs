//! The report of one run: Markdown for people, JSON for scripts.
//!
//! Owns: the two files, what stands before the tables. Does not own: tables (`table`, `sheet`), verdicts (`goals`).
//!
//! Invariant: a figure is told with what it was measured on: machine, cores, commit.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use serde_json::json;

use super::goals;
use super::sheet::Sheet;
use super::table::Work;
use crate::shell;

pub(crate) struct Report {
    commit: String,
    notes: Vec<String>,
    works: Vec<Work>,
    sheets: Vec<Sheet>,
}

const PREFACE: &str = "Interleaved rounds; medians, and peaks as the highest of all rounds. A process is measured from its start \
     to its end by the kernel, unless said otherwise. Ratios are medians of the ratios within a round, to the first \
     contender of the work.\n\n\
     - `bare reader`: one socket, the same dump command, packet headers only; nothing is checked, decoded or kept.\n\
     - `limpid to null`: every value decoded, no record made. `encoded, dropped`: a Debezium JSON record of each row too.\n\
     - `mariadb-binlog --raw` writes the log to a file, `-vv` writes it decoded as text to /dev/null.\n\
     - `librdkafka alone` sends the records that limpid had sent (keys, values, headers; lz4 and the other settings of \
     our sink, but librdkafka's own queue bound and the C library's allocator) to a topic of its own; its account \
     begins when it is connected and has its records in memory, limpid's when its process begins.\n\
     - `Debezium`: 3.5.0, the embedded engine with default settings but `poll.interval.ms=10`, a plain Java producer \
     (lz4, `linger.ms=5`), Java 17, `-Xmx2g`. `warmed up` is its own account of the last 80 % of the rows, carried over to \
     all of them; `whole process` has the start and the compiler's work too.\n";

impl Report {
    pub(crate) fn new(root: &Path) -> anyhow::Result<Self> {
        let mut git = Command::new("git");
        let commit = shell::output(git.args(["describe", "--always", "--dirty", "--exclude=*"]).current_dir(root));
        // A source archive has no history to ask.
        let commit = commit.map_or("unknown".to_owned(), |text| text.trim().to_owned());
        Ok(Self { commit, notes: Vec::new(), works: Vec::new(), sheets: Vec::new() })
    }

    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    pub(crate) fn add_work(&mut self, work: Work) {
        self.works.push(work);
    }

    pub(crate) fn add_sheet(&mut self, sheet: Sheet) {
        self.sheets.push(sheet);
    }

    pub(crate) fn work(&self, key: &str) -> Option<&Work> {
        self.works.iter().find(|work| work.key() == key)
    }

    pub(crate) fn sheet(&self, key: &str) -> Option<&Sheet> {
        self.sheets.iter().find(|sheet| sheet.key() == key)
    }

    /// Writes `latest.md` and `latest.json` into `dir` and prints the former.
    pub(crate) fn write(&self, dir: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let machine = machine();
        let mut text =
            format!("# Figures\n\n{machine}, {cores} cores shared with the servers; commit {}.\n", self.commit);
        text += PREFACE;
        for note in &self.notes {
            writeln!(text, "- {note}")?;
        }
        let goals = goals::goals(self);
        goals::markdown(&goals, &mut text)?;
        self.works.iter().try_for_each(|work| work.markdown(&mut text))?;
        self.sheets.iter().try_for_each(|sheet| sheet.markdown(&mut text))?;
        let json = json!({
            "commit": self.commit,
            "machine": machine,
            "cores": cores,
            "goals": goals.iter().map(goals::Goal::json).collect::<Vec<_>>(),
            "works": self.works.iter().map(Work::json).collect::<Vec<_>>(),
            "sheets": self.sheets.iter().map(Sheet::json).collect::<Vec<_>>(),
        });
        std::fs::write(dir.join("latest.md"), &text).context("write the figures")?;
        std::fs::write(dir.join("latest.json"), serde_json::to_string_pretty(&json)?).context("write the figures")?;
        println!("\n{text}");
        Ok(())
    }
}

/// The processor's name.
fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")).and_then(|rest| rest.split(':').nth(1));
    name.map_or("an unknown processor".to_owned(), |name| name.trim().to_owned())
}
