//! Tells the binary which commit it was built from (`unknown` outside a checkout), and the linker who waits for sockets.

use std::process::Command;

fn main() {
    // librdkafka's waits, see `limpid_kafka`'s `producer::wait`.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-link-arg-bins=-Wl,--wrap=poll");
    }
    println!("cargo:rerun-if-changed=../../.git/logs/HEAD");
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let commit = output.ok().filter(|output| output.status.success());
    let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    println!(
        "cargo:rustc-env=LIMPID_COMMIT={}",
        commit.filter(|text| !text.is_empty()).as_deref().unwrap_or("unknown")
    );
}
