//! Several files at once, from a real folder.

use std::fs;
use std::path::{Path, PathBuf};

use limpid_config::{ConfigFault, Connectors, load};

use crate::registry::{CONNECTORS, outside};

/// A folder of this test's own, gone at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("limpid-config-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the target folder can be written");
        Self(path)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).expect("the target folder can be written");
        path
    }

    /// As `FILE:LINE:COLUMN CODE message | help`, the folder's name left out.
    fn told(&self, faults: &[ConfigFault]) -> Vec<String> {
        let folder = format!("{}/", self.0.display());
        let tell = |fault: &ConfigFault| {
            let help = fault.remedy().map(|help| format!(" | {help}")).unwrap_or_default();
            format!("{} {} {fault}{help}", fault.place(), fault.code()).replace(&folder, "")
        };
        faults.iter().map(tell).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left over is removed with the target folder.
        let _removed = fs::remove_dir_all(&self.0);
    }
}

fn pipeline(name: &str) -> String {
    format!(
        "name: {name}\nsource: {{ type: mysql, url: \"mysql://db\", tables: [\"*\"], snapshot: never }}\n\
         sink: {{ type: stdout, delivery: at-least-once }}\non-row-error: halt-table\n"
    )
}

#[test]
fn two_pipelines_of_one_name_are_refused_naming_both_files() {
    let folder = Folder::new("names");
    let files = [
        folder.file("a.yaml", pipeline("shop")),
        folder.file("b.yaml", pipeline("other")),
        folder.file("c.yml", pipeline("shop")),
    ];
    let faults = load(&files, &CONNECTORS, &outside()).expect_err("two are called shop");
    let expected = "c.yml:1:7 CONFIG_DUPLICATE_NAME `shop` is already the name of the pipeline in a.yaml | give each \
                    pipeline a name of its own: it is part of topics, metrics and the transactional id";
    assert_eq!(folder.told(&faults), [expected]);
    let specs = load(&files[..2], &CONNECTORS, &outside()).expect("two names, two pipelines");
    assert_eq!(specs.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>(), ["shop", "other"]);
}

#[test]
fn every_file_is_told_of() {
    let folder = Folder::new("all");
    let files = [
        folder.0.join("missing.yaml"),
        folder.file("odd.txt", pipeline("odd")),
        folder.file("bytes.yaml", b"name: \xff\n"),
        folder.0.clone().join("folder.yaml"),
        folder.file("bad.yaml", pipeline("a b")),
        folder.file("good.yaml", pipeline("good")),
    ];
    fs::create_dir(&files[3]).expect("the target folder can be written");
    let faults = load(&files, &CONNECTORS, &outside()).expect_err("five are wrong");
    let expected = [
        "missing.yaml CONFIG_UNREADABLE the file cannot be read: entity not found",
        "odd.txt CONFIG_UNREADABLE the file's name does not say how it is written | name it with one of .yaml, .yml, \
         .toml or .json",
        "bytes.yaml:1:7 CONFIG_SYNTAX the file is not UTF-8 here | save it as UTF-8",
        "folder.yaml CONFIG_UNREADABLE the file cannot be read: is a directory",
        "bad.yaml:1:7 CONFIG_BAD_VALUE `name` is \"a b\", which cannot be a name | use up to 100 of A-Z a-z 0-9 . _ - and \
         begin with a letter or digit: it becomes part of topics",
    ];
    assert_eq!(folder.told(&faults), expected);
}

#[test]
fn a_file_without_end_is_not_read_to_it() {
    let link = Folder::new("endless");
    let file = link.0.join("zero.yaml");
    std::os::unix::fs::symlink("/dev/zero", &file).expect("the target folder can be written");
    let faults = load(&[file], &CONNECTORS, &outside()).expect_err("it is no pipeline");
    assert!(link.told(&faults)[0].starts_with("zero.yaml CONFIG_SYNTAX the file is larger than 1 MiB"));
}

#[test]
fn a_binary_without_connectors_names_none() {
    const NONE: Connectors = Connectors { sources: &[], sinks: &[], transforms: CONNECTORS.transforms };
    let folder = Folder::new("none");
    let faults = load(&[folder.file("a.yaml", pipeline("a"))], &NONE, &outside()).expect_err("there is no mysql");
    let codes: Vec<&str> = faults.iter().map(|fault| fault.code().as_str()).collect();
    assert_eq!(codes, ["NOT_IN_THIS_VERSION", "NOT_IN_THIS_VERSION"]);
}
