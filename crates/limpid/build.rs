//! Tells the binary which commit it was built from; `unknown` outside a checkout.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=../../.git/logs/HEAD");
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let commit = output.ok().filter(|output| output.status.success());
    let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    println!(
        "cargo:rustc-env=LIMPID_COMMIT={}",
        commit.filter(|text| !text.is_empty()).as_deref().unwrap_or("unknown")
    );
}
