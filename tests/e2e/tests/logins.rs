//! Logins and TLS against both servers.
//!
//! Owns: each mode of `tls`, each way to prove a password. Does not own: what follows a login.
//!
//! Invariant: what a connection really uses is told by the server: an account that requires TLS gets in by it alone.

use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use limpid_e2e::{Case, Db, Ended, Proxy};
use limpid_stack::tls::Certificates;
use limpid_stack::{TempDir, mariadb, mysql, require};

const TABLE: &str = "create table t (id int primary key)";

fn maria() -> Option<&'static mariadb::Server> {
    static SERVER: OnceLock<Option<mariadb::Server>> = OnceLock::new();
    let options = mariadb::Options { tls: true, ..mariadb::Options::default() };
    SERVER.get_or_init(|| require(mariadb::start(&options))).as_ref()
}

fn mysqld() -> Option<&'static mysql::Server> {
    static SERVER: OnceLock<Option<mysql::Server>> = OnceLock::new();
    let options = mysql::Options { tls: true, ..mysql::Options::default() };
    SERVER.get_or_init(|| require(mysql::start(&options))).as_ref()
}

fn both() -> Vec<(Db<'static>, &'static Certificates)> {
    let maria = maria().and_then(|server| Some((Db::Maria(server), server.certificates()?)));
    let mysql = mysqld().and_then(|server| Some((Db::MySql(server), server.certificates()?)));
    [maria, mysql].into_iter().flatten().collect()
}

/// Makes an account that can read the log, `how` being the rest of CREATE USER.
fn account(db: Db, name: &str, how: &str) -> Result<()> {
    let rights =
        if db.is_maria() { "replication slave, binlog monitor" } else { "replication slave, replication client" };
    db.sql(&format!(
        "create user {name}@'127.0.0.1' {how}; grant {rights} on *.* to {name}@'127.0.0.1'; \
         grant select on *.* to {name}@'127.0.0.1'"
    ))
    .map(drop)
}

/// Logs in as `user` and follows one row; returns how it ended and what was said.
fn try_login(db: Db, name: &str, lines: &[&str]) -> Result<(Ended, String)> {
    let change = |spec: limpid_e2e::Spec| lines.iter().fold(spec, |spec, line| spec.source(line));
    let mut case = Case::unstarted(db, name, TABLE, change)?;
    let (ended, said) = case.run(&["--until", "caught-up"])?;
    if ended == Ended::Code(0) {
        case.sql("insert into t values (1)")?;
        case.read()?;
        case.check("t", "id")?;
    }
    ensure!(!said.contains("Secret-1"), "a password in {said}");
    Ok((ended, said))
}

fn gets_in(db: Db, name: &str, lines: &[&str]) -> Result<()> {
    let (ended, said) = try_login(db, name, lines)?;
    ensure!(ended == Ended::Code(0), "{name} on {}: {ended:?} {said}", db.word());
    Ok(())
}

fn is_refused(db: Db, name: &str, lines: &[&str], code: &str) -> Result<()> {
    let (ended, said) = try_login(db, name, lines)?;
    ensure!(ended == Ended::Code(1) && said.contains(code), "{name} on {}: {ended:?} {said}", db.word());
    Ok(())
}

#[test]
fn every_mode_of_tls_gets_in_or_is_refused_as_it_says() -> Result<()> {
    let foreign = TempDir::new("foreign")?;
    let foreign = Certificates::make(&foreign.path().join("tls"))?.ca();
    for (db, certificates) in both() {
        account(db, "only_tls", "identified by 'Secret-1' require ssl")?;
        let login = ["user: only_tls", "password: Secret-1"];
        let with = |tls: String| [login[0].to_owned(), login[1].to_owned(), format!("tls: {tls}")];
        let ca = certificates.ca();
        let ca = ca.display();
        for (name, tls) in [
            ("preferred", "{ mode: preferred }".to_owned()),
            ("required", "{ mode: required }".to_owned()),
            ("verify_ca", format!("{{ mode: verify-ca, ca: {ca} }}")),
            ("verify_identity", format!("{{ mode: verify-identity, ca: {ca} }}")),
        ] {
            let lines = with(tls);
            gets_in(db, name, &lines.each_ref().map(String::as_str))?;
        }
        let lines = with("{ mode: disabled }".to_owned());
        is_refused(db, "disabled", &lines.each_ref().map(String::as_str), "SOURCE_AUTH_FAILED")?;
        for mode in ["verify-ca", "verify-identity"] {
            let lines = with(format!("{{ mode: {mode}, ca: {} }}", foreign.display()));
            let name = format!("foreign_{}", mode.replace('-', "_"));
            is_refused(db, &name, &lines.each_ref().map(String::as_str), "SOURCE_TLS_FAILED")?;
        }
        // The same server by a name that its certificate does not have.
        let proxy = Proxy::start("127.0.0.2", 0, format!("127.0.0.1:{}", db.port()))?;
        let url = format!("url: mysql://{}", proxy.address());
        let lines = with(format!("{{ mode: verify-identity, ca: {ca} }}"));
        let mut lines = lines.each_ref().map(String::as_str).to_vec();
        lines.push(&url);
        is_refused(db, "other_name", &lines, "SOURCE_TLS_FAILED")?;
        let lines = with(format!("{{ mode: verify-ca, ca: {ca} }}"));
        let mut lines = lines.each_ref().map(String::as_str).to_vec();
        lines.push(&url);
        gets_in(db, "other_name_ca", &lines)?;
    }
    Ok(())
}

/// A server without TLS: what is only preferred goes on, what is required does not.
#[test]
fn a_server_without_tls_is_refused_where_tls_is_required() -> Result<()> {
    let extra_args = vec!["--skip-ssl".to_owned()];
    let options = mariadb::Options { extra_args, ..mariadb::Options::default() };
    let Some(server) = require(mariadb::start(&options)) else { return Ok(()) };
    let db = Db::Maria(&server);
    gets_in(db, "plain", &["tls: { mode: preferred }"])?;
    is_refused(db, "plain_required", &["tls: { mode: required }"], "SOURCE_TLS_FAILED")
}

#[test]
fn a_wrong_password_halts_and_is_not_tried_again() -> Result<()> {
    for (db, _) in both() {
        account(db, "wrong", "identified by 'Other-2'")?;
        let (ended, said) = try_login(db, "wrong", &["user: wrong", "password: Secret-1", "tls: { mode: preferred }"])?;
        ensure!(ended == Ended::Code(1), "{ended:?} {said}");
        ensure!(said.matches("SOURCE_AUTH_FAILED").count() >= 1 && !said.contains("again"), "{said}");
        is_refused(db, "nobody", &["user: nobody_at_all", "password: Secret-1"], "SOURCE_AUTH_FAILED")?;
    }
    Ok(())
}

#[test]
fn every_plugin_of_mysql_takes_the_password() -> Result<()> {
    let Some(db) = mysqld().map(Db::MySql) else { return Ok(()) };
    for (name, plugin) in [("native", "mysql_native_password"), ("caching", "caching_sha2_password")] {
        account(db, name, &format!("identified with {plugin} by 'Secret-1'"))?;
        let user = format!("user: {name}");
        // Without TLS first: the server has nothing cached yet, so the whole exchange is needed.
        for mode in ["disabled", "required", "disabled"] {
            let case = format!("{name}_{mode}_{}", mode.len() + limpid_stack::ports::lease()?.port() as usize);
            gets_in(db, &case, &[&user, "password: Secret-1", &format!("tls: {{ mode: {mode} }}")])
                .with_context(|| format!("{plugin} with TLS {mode}"))?;
        }
    }
    Ok(())
}

#[test]
fn every_plugin_of_mariadb_takes_the_password() -> Result<()> {
    let Some(db) = maria().map(Db::Maria) else { return Ok(()) };
    db.sql("install soname 'auth_ed25519'")?;
    account(db, "ed", "identified via ed25519 using password('Secret-1')")?;
    account(db, "native", "identified via mysql_native_password using password('Secret-1')")?;
    for name in ["ed", "native"] {
        let user = format!("user: {name}");
        gets_in(db, name, &[&user, "password: Secret-1", "tls: { mode: disabled }"])?;
        gets_in(db, &format!("{name}_tls"), &[&user, "password: Secret-1", "tls: { mode: required }"])?;
    }
    // Special characters, percent-encoded in a URL.
    account(db, "odd", "identified by 'p@:/%ss'")?;
    gets_in(
        db,
        "odd",
        &[&format!("url: mysql://odd:p%40%3A%2F%25ss@127.0.0.1:{}", db.port()), "user: null", "password: null"],
    )
}
