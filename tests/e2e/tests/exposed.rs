//! An instance that others can reach: its options, and the command that asks it.
//!
//! Owns: the way from the command line to a request. Does not own: what each route asks for (`limpid-server`).
//!
//! Invariant: no token and no key is ever said.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use limpid_e2e::{Ended, Limpid, PATIENCE, Pipeline, Spec, limpid};
use limpid_stack::TempDir;
use limpid_stack::tls::Certificates;

const TOKEN: &str = "0123456789abcdef-a-token-of-ada";

fn file(dir: &Path, name: &str, text: &str, mode: u32) -> Result<PathBuf> {
    let path = dir.join(name);
    fs::write(&path, text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    Ok(path)
}

/// A pipeline whose source nobody listens at: its instance answers all the same.
fn pipeline(dir: &Path) -> Result<Pipeline> {
    Pipeline::write(dir, "shop", &Spec::new("shop", 1).yaml())
}

/// Where it listens, the main port first.
fn addresses(instance: &Limpid, count: usize) -> Result<Vec<String>> {
    let found = || -> Vec<String> {
        let lines = instance.stderr();
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let listens = lines.filter(|line| line["message"] == "the server listens");
        listens.filter_map(|line| Some(line["metadata"]["address"].as_str()?.to_owned())).collect()
    };
    limpid_e2e::wait_until("the server to listen", PATIENCE, || found().len() == count)?;
    Ok(found())
}

/// Runs a command to its end: its code, what it printed, what it said.
fn ran(arguments: &[&str]) -> Result<(Ended, String, String)> {
    let mut command = limpid(arguments)?;
    let ended = command.wait(PATIENCE)?;
    Ok((ended, command.stdout(), command.stderr()))
}

#[test]
fn status_reaches_an_instance_behind_tls_and_tokens_and_says_why_not() -> Result<()> {
    let dir = TempDir::new("exposed")?;
    let made = Certificates::make(&dir.path().join("tls"))?;
    fs::set_permissions(made.key(), fs::Permissions::from_mode(0o600))?;
    let tokens = file(dir.path(), "tokens", &format!("ada viewer {TOKEN}\n"), 0o600)?;
    let own = file(dir.path(), "ada.token", &format!("{TOKEN}\n"), 0o600)?;
    let other = file(dir.path(), "eve.token", "0123456789abcdef-a-token-of-eve", 0o600)?;
    let text = |path: &Path| path.display().to_string();
    let (cert, key, ca) = (text(&made.cert()), text(&made.key()), text(&made.ca()));
    let instance = pipeline(dir.path())?.run(&[
        "--auth-token-file",
        &text(&tokens),
        "--tls-cert",
        &cert,
        "--tls-key",
        &key,
        "--metrics-listen",
        "127.0.0.1:0",
    ])?;
    let addresses = addresses(&instance, 2)?;
    let url = format!("https://{}", addresses.first().context("there is a first")?);
    let asked = |more: &[&str]| ran(&[&["status", "--server", &url, "--format", "json"], more].concat());
    let (ended, out, said) = asked(&["--token-file", &text(&own), "--ca", &ca])?;
    ensure!(ended == Ended::Code(0), "{said}");
    let document: serde_json::Value = serde_json::from_str(&out)?;
    ensure!(document["pipelines"][0]["name"] == "shop", "{out}");
    for (arguments, code, word) in [
        (&["--ca", &ca][..], 2, "AUTH_TOKEN_INVALID"),
        (&["--ca", &ca, "--token-file", &text(&other)], 2, "AUTH_TOKEN_INVALID"),
        (&["--ca", &ca, "--token-file", &text(&tokens)], 2, "AUTH_FILE_INVALID"),
        (&["--token-file", &text(&own)], 3, "SERVER_TLS_FAILED"),
    ] {
        let (ended, _, said) = asked(arguments)?;
        ensure!(ended == Ended::Code(code) && said.contains(word), "{arguments:?}: {ended:?}: {said}");
        ensure!(!said.contains("0123456789abcdef"), "{said}");
    }
    ensure!(!instance.stderr().contains("0123456789abcdef"), "{}", instance.stderr());
    Ok(())
}

#[test]
fn what_cannot_be_opened_safely_is_refused_at_the_start() -> Result<()> {
    let dir = TempDir::new("exposed")?;
    let open = file(dir.path(), "open", &format!("ada viewer {TOKEN}\n"), 0o644)?.display().to_string();
    let pipeline = pipeline(dir.path())?;
    for (arguments, code) in [
        (&["--auth-token-file", &*open][..], "AUTH_FILE_INVALID"),
        (&["--auth-token-file", "/nowhere"], "AUTH_FILE_INVALID"),
        (&["--tls-cert", &open, "--tls-key", &open], "LISTEN_TLS_INVALID"),
        (&["--tls-cert", &open], "USAGE_INVALID"),
        (&["--metrics-listen", "0.0.0.0:0"], "LISTEN_INSECURE"),
    ] {
        let mut instance = pipeline.run(arguments)?;
        let ended = instance.wait(PATIENCE)?;
        let said = instance.stderr();
        ensure!(ended == Ended::Code(2) && said.contains(&format!("error[{code}]: ")), "{arguments:?}: {said}");
        ensure!(!said.contains(TOKEN), "{said}");
    }
    Ok(())
}
