//! Every type: the cells of a row that was read against the cells of the same row in the log.

use std::collections::BTreeMap;

use limpid_connector::{JsonText, KeyRange, Source};
use limpid_mysql::Flavor;

use super::follow::{Plain, Site, chunk_rows, name, read_range, rows};
use super::random::{self, Random};

/// Tables of random columns, with fixed seeds.
pub fn compare(site: &mut Site) {
    let sets = "SELECT CHARACTER_SET_NAME FROM information_schema.CHARACTER_SETS WHERE CHARACTER_SET_NAME <> 'binary'";
    let charsets: Vec<String> = site.run(sets).lines().map(str::to_owned).collect();
    let mut random = Random::new(7);
    let mut compared = 0;
    for nth in 0..14 {
        let columns = random::columns(&mut random, site.flavor, &charsets);
        let declared: Vec<String> =
            columns.iter().map(|column| format!("{} {}", column.name, column.declared)).collect();
        let table = format!("v{nth}");
        let metadata = if nth % 2 == 0 { "FULL" } else { "MINIMAL" };
        site.run(&format!("SET GLOBAL binlog_row_metadata={metadata}"));
        site.run(&format!("CREATE TABLE {table} (id INT PRIMARY KEY, {}) ENGINE=InnoDB", declared.join(", ")));
        let statements: Vec<String> = (0..25)
            .map(|id| {
                let values: Vec<String> = columns.iter().map(|column| column.value(&mut random)).collect();
                format!("INSERT INTO {table} VALUES ({id}, {})", values.join(", "))
            })
            .collect();
        compared += both(site, &table, &statements, JsonText::Server);
    }
    assert!(compared > 150, "the server took only {compared} rows");
    compare_rare(site);
}

/// What random tables do not have.
fn compare_rare(site: &mut Site) {
    let mut columns = vec![
        "a CHAR(20) CHARACTER SET utf8mb4",
        "b BINARY(5)",
        "c BIGINT UNSIGNED ZEROFILL",
        "d DECIMAL(65,30)",
        "e DECIMAL(18,18)",
        "f TIME(6)",
        "g DATETIME(3)",
        "h TIMESTAMP(6) NULL DEFAULT NULL",
        "i YEAR",
        "j BIT(1)",
        "k INT GENERATED ALWAYS AS (id * 2) VIRTUAL",
        "l INT GENERATED ALWAYS AS (id * 3) STORED",
        "m TINYINT(1)",
        "n DOUBLE(10,2)",
        "o FLOAT(7,3)",
        "p LINESTRING",
        "`q ``uoted'` VARCHAR(10)",
        "r MEDIUMBLOB",
    ];
    let names = "(id,a,b,c,d,e,f,g,h,i,j,m,n,o,p,`q ``uoted'`,r";
    let mut rows = [
        "1,'x  ','a',18446744073709551615,-99999999999999999999999999999999999.999999999999999999999999999999,\
         0.999999999999999999,'-838:59:59.000001','2024-02-29 23:59:59.999','2038-01-19 03:14:07.999999',2155,b'1',1,\
         12345678.99,1234.568,ST_GeomFromText('LINESTRING(0 0,1 1,2 2)'),'q',REPEAT('z',100000)"
            .to_owned(),
        "2,'',x'0000000000',0,0,-0.000000000000000001,'838:59:59','0000-00-00','1970-01-01 00:00:01',1901,b'0',-128,\
         -0.01,-0.001,NULL,'',''"
            .to_owned(),
        "3,'\u{1f600}',x'2000',9223372036854775808,0.000000000000000000000000000001,0,'00:00:00.000001',\
         '9999-12-31 23:59:59.999',NULL,0,NULL,127,1e7,0,NULL,NULL,REPEAT('y',300000)"
            .to_owned(),
        "4,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL".to_owned(),
    ];
    let mut names = names.to_owned();
    if site.flavor == Flavor::MariaDb {
        columns.push("s INT INVISIBLE DEFAULT 5");
        columns.push("t TEXT COMPRESSED");
        names.push_str(",t");
        rows.iter_mut().for_each(|row| row.push_str(",REPEAT('compressible ', 500)"));
    } else {
        columns.push("s SET('a','b','c') CHARACTER SET latin1");
        columns.push("t POINT SRID 4326");
        names.push_str(",s,t");
        rows.iter_mut().for_each(|row| row.push_str(",'a,c',ST_SRID(POINT(1.5,-2.5),4326)"));
    }
    site.run(&format!("CREATE TABLE rare (id INT PRIMARY KEY, {}) ENGINE=InnoDB", columns.join(", ")));
    let statements: Vec<String> = rows.iter().map(|row| format!("INSERT INTO rare {names}) VALUES ({row})")).collect();
    assert_eq!(both(site, "rare", &statements, JsonText::Server), 4);
}

/// JSON as Debezium prints it, which only the log's binary form and the server's text have in common.
pub fn compare_documents(site: &mut Site) {
    site.run("CREATE TABLE documents (id INT PRIMARY KEY, j JSON)");
    let documents = [
        r#"{"a": 1, "b": [true, false, null], "c": {"d": "x: y, z"}}"#,
        r#"[1.5, 0.1, 12345678.1, 1e100, 1e-7, 0.0005, -3.0, 100000000000000000000.5, 9007199254740993]"#,
        r#"[18446744073709551615, -9223372036854775808, 0, -0.0, 1.7976931348623157e308, 5e-324, 1.0]"#,
        r#""q\" b\\ n\n t\t u\u001f\u0007 \u00e9 \ud83d\ude00 /""#,
        r#"{"k\"ey, : ": [], "": {}}"#,
        "null",
        "\"\"",
        "123456789.125",
    ];
    let mut statements = Vec::new();
    for (id, document) in documents.iter().enumerate() {
        let hex = super::reader::hex(document.as_bytes());
        statements.push(format!("INSERT INTO documents VALUES ({id}, CONVERT(x'{hex}' USING utf8mb4))"));
    }
    statements.push("INSERT INTO documents VALUES (90, JSON_ARRAY(CAST('1.50' AS DECIMAL(10,2)), 7))".to_owned());
    statements.push("INSERT INTO documents VALUES (91, NULL)".to_owned());
    assert_eq!(both(site, "documents", &statements, JsonText::Debezium), documents.len() + 2);
}

/// Runs the statements under the eyes of a stream, reads the table, and compares; gives the number of rows.
fn both(site: &mut Site, table: &str, statements: &[String], json_text: JsonText) -> usize {
    let mut follower = site.follow_as(json_text);
    for statement in statements {
        // What a server refuses is in neither.
        let _ = site.session.exec(statement);
    }
    let mut fresh = || site.source_as("root", json_text).table_reader().unwrap();
    let mut chunks = read_range(&mut fresh, &name(table), KeyRange::default(), (10, 1 << 20));
    let mut logged: BTreeMap<Plain, (u64, Vec<Plain>)> = BTreeMap::new();
    let mut note = |batch: &limpid_model::Batch| {
        for row in rows(batch, table) {
            logged.insert(row.after[0].clone(), (row.key_hash, row.after));
        }
    };
    let mut read = BTreeMap::new();
    let mut names = Vec::new();
    for chunk in &mut chunks {
        let weighed = follower.until_weighed(chunk, &mut note);
        assert_eq!(weighed, limpid_connector::Admission::Admitted, "{table}");
        for row in chunk_rows(chunk) {
            let twice = read.insert(row.after[0].clone(), (row.key_hash, row.after));
            assert_eq!(twice, None, "{table}");
        }
        names.extend(chunk.batches.iter().map(|batch| batch.tables[0].columns.clone()));
    }
    for (id, (hash, logged)) in &logged {
        let (read_hash, read) = read.get(id).unwrap_or_else(|| panic!("{table}: {id:?} was not read"));
        for ((read, logged), column) in read.iter().zip(logged).zip(&names[0]) {
            assert_eq!(read, logged, "{table}, row {id:?}, {column:?}");
        }
        assert_eq!((read_hash, read.len()), (hash, logged.len()), "{table}, row {id:?}");
    }
    assert_eq!(read.len(), logged.len(), "{table}");
    read.len()
}
