//! `cargo xtask mutations [NAME ...]`: deliberate breaks, each of which must turn its test red.
//!
//! Owns: reading the list, a copy of the tree to break, running one test. Does not own: the list
//! (`tests/mutations.toml`), and that it still fits the code (`tidy`).
//!
//! Invariant: the tree itself is never touched. A break that does not compile proves nothing and is an error, as is a
//! test that did not run; a test that hangs is red.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::shell;

/// The list, from the root.
pub(crate) const LIST: &str = "tests/mutations.toml";

/// Several times what the slowest test of the list takes on a busy machine of two cores.
const TEST_MAX: Duration = Duration::from_secs(300);

/// One deliberate break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mutation {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) search: String,
    pub(crate) replace: String,
    /// The package, `lib` or the test's file, and the test's full name.
    pub(crate) test: [String; 3],
}

/// Reads the list.
pub(crate) fn parse(text: &str) -> anyhow::Result<Vec<Mutation>> {
    let list: toml::Table = text.parse().context("read the list of mutations")?;
    let entries = list.get("mutation").and_then(toml::Value::as_array).context("find a [[mutation]]")?;
    entries.iter().map(one).collect()
}

fn one(entry: &toml::Value) -> anyhow::Result<Mutation> {
    let text = |key: &str| {
        let value = entry.get(key).and_then(toml::Value::as_str);
        value.map(str::to_owned).with_context(|| format!("find `{key}` in the mutation {entry:?}"))
    };
    let words: Vec<String> = text("test")?.split_whitespace().map(str::to_owned).collect();
    let test = words.try_into().ok().context("name a test by its package, file and function")?;
    Ok(Mutation { name: text("name")?, file: text("file")?, search: text("search")?, replace: text("replace")?, test })
}

/// Applies each (or those named) and demands red.
pub(crate) fn run(names: &[&str]) -> anyhow::Result<()> {
    let root = shell::root()?;
    let all = parse(&fs::read_to_string(root.join(LIST)).with_context(|| format!("read {LIST}"))?)?;
    if let Some(unknown) = names.iter().find(|name| !all.iter().any(|mutation| mutation.name == **name)) {
        bail!("no mutation is called {unknown}");
    }
    let chosen: Vec<&Mutation> =
        all.iter().filter(|mutation| names.is_empty() || names.contains(&mutation.name.as_str())).collect();
    let copy = Copy::of(&root)?;
    let mut unseen = Vec::new();
    for mutation in &chosen {
        let begun = Instant::now();
        let red = copy.try_one(mutation).with_context(|| format!("try the mutation {}", mutation.name))?;
        let word = if red { "red" } else { "NOT SEEN" };
        println!("{word:8} {:5.1} s  {}", begun.elapsed().as_secs_f64(), mutation.name);
        if !red {
            unseen.push(mutation.name.as_str());
        }
    }
    ensure!(unseen.is_empty(), "no test sees {}", unseen.join(", "));
    println!("mutations: {} breaks, each seen by its test", chosen.len());
    Ok(())
}

/// A copy of the tree that is kept from run to run, so that only what changed is built.
struct Copy {
    tree: PathBuf,
    target: PathBuf,
}

impl Copy {
    fn of(root: &Path) -> anyhow::Result<Copy> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let home = target.join("mutations");
        let copy = Copy { tree: home.join("tree"), target: home.join("target") };
        let mut list = Command::new("git");
        list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
        for name in shell::output(&mut list)?.split('\0').filter(|name| !name.is_empty()) {
            // A file may be deleted and not yet committed so.
            if let Ok(bytes) = fs::read(root.join(name)) {
                write_changed(&copy.tree.join(name), &bytes)?;
            }
        }
        Ok(copy)
    }

    /// True when the test turned red. The file in the copy is whole again, whatever happens.
    fn try_one(&self, mutation: &Mutation) -> anyhow::Result<bool> {
        let path = self.tree.join(&mutation.file);
        let whole = fs::read_to_string(&path).with_context(|| format!("read {}", mutation.file))?;
        let found = whole.matches(&mutation.search).count();
        ensure!(found == 1, "its text is {found} times in {}", mutation.file);
        fs::write(&path, whole.replace(&mutation.search, &mutation.replace))?;
        let red = self.is_red(&mutation.test);
        fs::write(&path, whole).with_context(|| format!("mend {}", path.display()))?;
        red
    }

    fn is_red(&self, [package, file, name]: &[String; 3]) -> anyhow::Result<bool> {
        let target = if file == "lib" { vec!["--lib"] } else { vec!["--test", file] };
        let binary = self.target.join("ci/limpid");
        if package == "limpid-e2e" {
            shell::run(self.cargo("build").args(["-p", "limpid"]))?;
        }
        shell::run(self.cargo("test").args(["-p", package, "--no-run"]).args(&target))?;
        let mut test = self.cargo("test");
        test.args(["-p", package])
            .args(&target)
            .args(["--", "--exact", name])
            .env("LIMPID_BIN", binary)
            .env("LIMPID_SOAK", "1");
        let Some((passed, output)) = ended(&mut test)? else { return Ok(true) };
        ensure!(output.contains("running 1 test"), "there is no test {name}: {output}");
        Ok(!passed)
    }

    /// Quietly: a break may leave something unused, of which cargo would warn.
    fn cargo(&self, verb: &str) -> Command {
        let mut cargo = shell::cargo();
        cargo.args([verb, "--quiet", "--profile", "ci"]).current_dir(&self.tree);
        cargo.env("CARGO_TARGET_DIR", &self.target).env_remove("CARGO_MANIFEST_DIR");
        cargo
    }
}

/// Runs a test and returns whether it passed and what it printed; `None` when it hung and was killed.
fn ended(test: &mut Command) -> anyhow::Result<Option<(bool, String)>> {
    // A group of its own, so that the servers it started go with it.
    let mut child =
        test.stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0).spawn().context("run the test")?;
    let mut pipe = child.stdout.take().context("read the test's output")?;
    let reader = std::thread::spawn(move || std::io::read_to_string(&mut pipe));
    let deadline = Instant::now() + TEST_MAX;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() > deadline {
            // SAFETY: a signal to the group of our own child, which is not reaped yet.
            unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) };
            child.wait()?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let output = reader.join().ok().context("gather the test's output")??;
    Ok(status.map(|status| (status.success(), output)))
}

/// Cargo goes by times: a file that is the same keeps its own.
fn write_changed(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let folder = path.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_names_its_place_and_its_test() {
        let text = "[[mutation]]\nname = 'n'\nfile = 'a.rs'\nsearch = 's'\nreplace = ''\ntest = 'p lib m::t'\n";
        let test = ["p", "lib", "m::t"].map(str::to_owned);
        let expected =
            Mutation { name: "n".into(), file: "a.rs".into(), search: "s".into(), replace: String::new(), test };
        assert_eq!(parse(text).unwrap(), [expected]);
        assert!(parse("[[mutation]]\nname = 'n'\n").is_err());
        assert!(parse(&text.replace("p lib", "p")).is_err());
    }

    #[test]
    fn a_copy_keeps_the_time_of_a_file_that_is_the_same() {
        let dir = limpid_stack::TempDir::new("copy").unwrap();
        let path = dir.path().join("deep/file");
        write_changed(&path, b"one").unwrap();
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        write_changed(&path, b"one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
        write_changed(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }
}
