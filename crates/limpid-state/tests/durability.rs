//! What the state survives: a killed process, a second one, a full disk, damaged bytes.
//!
//! Owns: one test binary for all of them (SQLite is linked once), and the child processes that run it again.
//!
//! Invariant: an oracle here never asks the code that wrote whether it wrote.

#[path = "durability/child.rs"]
mod child;
#[path = "durability/crash.rs"]
mod crash;
#[path = "durability/damage.rs"]
mod damage;
#[path = "durability/disk.rs"]
mod disk;
#[path = "durability/sample.rs"]
mod sample;
#[path = "durability/second.rs"]
mod second;
