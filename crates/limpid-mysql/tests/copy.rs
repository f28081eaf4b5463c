//! Whole tables read beside the stream, on real servers.
//!
//! Owns: which servers are tried with what. Does not own: the checks (`copy/`), servers (`limpid-stack`).
//!
//! Invariant: what is expected comes of the server's own SELECT, or of the stream, which has tests of its own against it.

#[path = "copy/borders.rs"]
mod borders;
#[path = "copy/fences.rs"]
mod fences;
#[path = "copy/follow.rs"]
mod follow;
#[path = "copy/keys.rs"]
mod keys;
#[path = "copy/moments.rs"]
mod moments;
#[expect(dead_code, reason = "it also says how a server shows a value, which is not asked here")]
#[path = "select/random.rs"]
mod random;
#[path = "copy/values.rs"]
mod values;
#[path = "copy/whole.rs"]
mod whole;

/// What `random` needs of its other companion.
mod reader {
    pub fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02X}")).collect()
    }
}

use limpid_mysql::Flavor;
use limpid_stack::{mariadb, mysql, require};

use follow::Site;

fn on_mariadb(check: impl FnOnce(&mut Site)) {
    let Some(server) = require(mariadb::start(&mariadb::Options::default())) else { return };
    let sessions = || server.session().unwrap();
    check(&mut Site::new(&sessions, server.port(), Flavor::MariaDb));
}

fn on_mysql(args: &[&str], check: impl FnOnce(&mut Site)) {
    let extra_args = args.iter().map(|arg| (*arg).to_owned()).collect();
    let Some(server) = require(mysql::start(&mysql::Options { extra_args, ..mysql::Options::default() })) else {
        return;
    };
    let sessions = || server.session().unwrap();
    check(&mut Site::new(&sessions, server.port(), Flavor::MySql));
}

const NO_GTIDS: &[&str] = &["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"];

#[test]
fn rows_read_from_mariadb_are_the_cells_its_log_gives() {
    on_mariadb(values::compare);
}

#[test]
fn rows_read_from_mysql_are_the_cells_its_log_gives() {
    on_mysql(&[], |site| {
        values::compare(site);
        values::compare_documents(site);
    });
}

#[test]
fn each_row_of_mariadb_is_read_once_whatever_the_key() {
    on_mariadb(|site| {
        keys::check(site);
        borders::check(site);
        borders::check_order_of_text(site);
    });
}

#[test]
fn each_row_of_mysql_is_read_once_whatever_the_key() {
    on_mysql(&[], |site| {
        keys::check(site);
        borders::check(site);
        borders::check_order_of_text(site);
    });
}

#[test]
fn a_copy_of_mariadb_under_writers_is_what_it_then_holds() {
    on_mariadb(|site| {
        fences::check(site, "InnoDB");
        fences::check(site, "MyISAM");
        whole::check(site, "InnoDB");
        whole::check(site, "MyISAM");
    });
}

#[test]
fn a_copy_of_mysql_with_gtids_under_writers_is_what_it_then_holds() {
    on_mysql(&[], |site| {
        fences::check(site, "InnoDB");
        whole::check(site, "InnoDB");
    });
}

#[test]
fn a_copy_of_mysql_without_gtids_under_writers_is_what_it_then_holds() {
    on_mysql(NO_GTIDS, |site| {
        fences::check(site, "InnoDB");
        fences::check(site, "MyISAM");
        whole::check(site, "MyISAM");
    });
}

#[test]
fn chunks_of_mariadb_pass_only_at_their_place() {
    on_mariadb(moments::check);
}

#[test]
fn chunks_of_mysql_pass_only_at_their_place() {
    on_mysql(&[], |site| {
        moments::check(site);
        moments::check_owned(site);
    });
}
