-- One statement a line. M: MariaDB only, Y: MySQL only. After each, our history must be what the server shows.

-- databases
create database ddl_a character set utf8mb4
create database if not exists ddl_b default charset latin1
create schema if not exists ddl_b default charset utf8mb4
CREATE DATABASE `ddl_c` /*!40100 DEFAULT CHARACTER SET = ucs2 */ /* a comment */
alter database ddl_c collate utf8mb4_unicode_ci
alter schema ddl_c character set = latin1 collate = latin1_german1_ci
use ddl_c
alter database character set utf8
M:alter database ddl_c comment 'no charset here'
M:create or replace database ddl_c collate latin1_bin
drop schema ddl_c
M:create database ddl_c
Y:create database if not exists ddl_c
use ddl_a

-- types
create table ints (a tinyint, b tinyint(1), c tinyint(2), d smallint unsigned, e mediumint(7) zerofill, f int(10) unsigned zerofill, g integer, h bigint, i bool, j boolean, k int1, l int2, m int3, n int4, o int8, p middleint signed, q tinyint(1) unsigned, r int zerofill)
create table serials (a serial, b varchar(3))
create table serials2 (a int serial default value, b int)
create table floats (a float, b float(7,3), c float(24), d float(25), e float(53) unsigned, f double, g double precision, h real, i double(9,2) zerofill, j float4, k float8, l real(8,1), m float(0))
create table decimals (a decimal, b dec(5), c numeric(7,2), d fixed(65,30), e decimal(4,0) unsigned, f decimal(6,3) unsigned zerofill, g decimal zerofill, h dec(0), i numeric(5,0))
create table bits (a bit, b bit(1), c bit(8), d bit(64))
create table times (a date, b time, c time(3), d datetime, e datetime(6), f timestamp, g timestamp(2) null, h year, i year(4), j timestamp not null default current_timestamp on update current_timestamp, k datetime(3) default now(3) on update now(3))
create table chars (a char, b char(0), c char(255), d varchar(0), e varchar(100), f character(3), g character varying(9), h char varying(8), i nchar(3), j national char(4), k nvarchar(5), l national varchar(6), m nchar varchar(7), n national character varying(8), o varcharacter(3), p nchar varying(4), q national char varying(2))
create table binaries (a binary, b binary(5), c varbinary(70), d char(4) byte, e varchar(5) byte, f text byte, g char(3) character set binary, h varchar(4) charset binary, i long varbinary, j tinytext charset binary, k enum('a') charset binary)
create table texts (a text, b tinytext, c mediumtext, d longtext, e text(20), f text(63), g text(64), h text(16383), i text(16384), j text(5000000), k long, l long varchar, m long char varying, n text(255) charset latin1)
create table blobs (a blob, b tinyblob, c mediumblob, d longblob, e blob(20), f blob(255), g blob(256), h blob(65536), i blob(16777216), j blob(0))
create table charsets (a char(3) ascii, b char(3) unicode, c char(3) binary, d char(3) character set latin1 binary, e varchar(9) collate utf8mb4_bin, f varchar(9) charset utf8 collate utf8_unicode_ci, g text collate latin1_general_cs, h enum('x','y') character set ucs2, i set('p','q') collate utf8mb4_unicode_ci, j varchar(5) charset latin1, k char(2) char set cp1251, l varchar(4) binary charset latin1, m char(2) ascii binary)
create table charsets2 (a char(3), b char(3) binary, c varchar(4) charset utf8mb4, d text) default charset=latin1 collate=latin1_german2_ci
create table charsets3 (a char(3), b text, c enum('x')) charset binary
create table charsets4 (a char(3)) collate utf8mb4_unicode_520_ci
create table charsets5 (a char(3) default 'x' collate latin1_bin not null comment 'collate utf8mb4_bin') character set = cp1250 comment='charset=latin1'
create table enums (a enum('a','b'), b enum('it''s','say "hi"','back\\slash','new\nline','tab	x',',',')'), c set('ä','ö '), d enum(0x61, x'62', b'01100011'), e enum("dq","d""q"), f enum('trail  ','') not null)
create table geos (a geometry, b point not null, c linestring, d polygon, e multipoint, f multilinestring, g multipolygon, h geometrycollection)
Y:create table srids (a geometry srid 4326, b point not null srid 0, c geomcollection, d int)
M:create table srids (a geometry ref_system_id=4326, b point ref_system_id = 101 not null, d int)
create table jsons (a json, b json not null)
M:create table own (a uuid, b inet6, c inet4, d varchar(100) compressed, e text compressed=zlib, f blob compressed, g varbinary(9) compressed, h uuid not null default uuid())
M:alter table own modify d varchar(100), modify a uuid not null, add i inet6 after b
create table visible_names (`select` int, `a``b` int, `ümlaut` int, `a b` varchar(3), ünq int, 1a int, `123` int, $x int, _y int)
create table `we``ird "name"` (`a"b` int)
create table comments1 (a int /* , b int */, c int /*!50000 not null */, /*!99999 d int, */ e int)
create table big_defaults (a int default (1), b varchar(20) default 'x, y) not null', c int default -5, d timestamp default current_timestamp(), e bit(3) default b'101', f varbinary(9) default x'4142', g varchar(9) default _utf8mb4'x' collate utf8mb4_bin not null, h double default 1.5e3 not null, i bool default true not null, j int default +3 not null, k datetime default '2020-01-01 00:00:00' not null)
M:create table big_defaults2 (a int default floor(1.5) not null, b int default (case when 1 is not null then 2 else 3 end) not null, c varchar(20) default concat('a', 'b, c') not null, e int default (a + 1) unique, g datetime default (now() + interval 1 day) not null, h varchar(9) default current_user() not null, i int default if(1, 2, 3) comment 'x')

-- columns: attributes
create table attributes (a int not null auto_increment primary key comment 'primary key (b)', b int null unique key, c int unique comment 'x', d int not null default 3 unique, g int check (g > 0), constraint xx check (c > d), check (d <> b))
Y:create table attributes2 (e varchar(3) column_format fixed, f int storage memory default 3)
create table gen1 (a int, b int as (a+1), c int as (a+1) virtual, d int generated always as (a*2) stored, e int as (a) stored comment 'x', f varchar(9) as (concat(a, ',')) virtual, g int as (a) stored unique)
Y:create table gen3 (a int, b int as (a) stored not null, c int as (a) virtual not null unique)
M:create table gen2 (a int, b int as (a+1) persistent, c varchar(10) character set latin1 generated always as (concat('(', a)) persistent)
M:create table invisible (a int, b int invisible, c int invisible default 3 not null, d int not null invisible default 4 unique)
M:alter table invisible modify b int, modify a int invisible
set sql_mode=''
create table nullables (a int key, b timestamp, c timestamp null, d timestamp not null, e timestamp default 0, f timestamp default current_timestamp)
set explicit_defaults_for_timestamp=0
create table nullables2 (a int, b timestamp, c timestamp null, d timestamp not null, e timestamp null default null, f timestamp default current_timestamp, g datetime, h timestamp(3))
alter table nullables2 add i timestamp, modify c timestamp, modify g timestamp null
set explicit_defaults_for_timestamp=1
set sql_mode=default
set sql_mode='real_as_float'
create table reals (a real, b real(5,2), c real unsigned, d double precision)
set sql_mode='ansi_quotes'
create table "ansi" ("a b" int, b varchar(9) default 'it"s' not null, "c""d" int, primary key ("c""d"))
set sql_mode='no_backslash_escapes'
create table backslashes (a varchar(9) default 'x\' not null, b enum('\','x'), c int comment '\')
set sql_mode=''
create table widened (a varchar(65536), b varchar(20000) charset utf8mb4, c varbinary(70000), d varchar(70000) charset latin1, e int)
M:set sql_mode='oracle'
M:create table oracles (a varchar2(10), b number, c number(5), d number(8,2), e clob, f raw(9), g date, h blob)
M:alter table oracles add (i date, j number(3))
M:set sql_mode=''
M:create table oracles2 (a mariadb_schema.date, b oracle_schema.date)
set sql_mode=default

-- keys
create table keys1 (id int not null, a int null, b int not null, unique z(a), unique y(b,id), unique x(id,b))
create table keys2 (a int not null, b varchar(20) not null, c text, unique k1 (b(5)), unique k2 (b), unique (a, b(3)), key (b(20)), unique k3 (b(20), a), key (c(10)), fulltext (c), unique (c(7)))
create table keys3 (a int, b int, key (a), key (a), unique (a), index (a, b), unique a_5 (b), unique (b), key `primary2` (b))
create table keys4 (a int, b int, constraint c1 unique (a), constraint unique (b), constraint c2 unique index i2 (a, b), constraint primary key (b), unique using btree (b, a), unique i5 using btree (b) comment 'x', index i6 (a desc, b asc) using btree key_block_size=1024)
create table keys5 (`primary` int, unique (`primary`))
create table keys6 (a int primary key, b int references keys1 (id), c int, foreign key (c) references keys1 (id), constraint f6 foreign key (b, c) references keys4 (b, a), constraint f7 foreign key i7 (a) references keys1 (id))
create table keys7 (a int, b int, key (b), constraint f8 foreign key (b) references keys4 (b), constraint f9 foreign key (a, b) references keys4 (a, b), foreign key (a) references keys1(id) on delete set null on update cascade)
create table keys8 (g geometry not null, t text, spatial index (g), fulltext key ft (t), fulltext ft2 (t))
Y:create table keys8b (t text, fulltext ft2 (t) with parser ngram)
create table keys9 (a int not null, b int not null, unique (b), unique (a))
alter table keys9 modify b int null
alter table keys9 modify b int not null
alter table keys9 add unique first_now (b, a), drop index b
Y:create table functional (id int, a int, unique key k1 ((a+1)), unique u2 (a desc), key ((a*2)), key ((a*3)), unique ((id + 1), a))
Y:insert into functional values (1, 2)
Y:alter table functional add column x int, add key ((x+1))
Y:alter table functional drop key functional_index, add y int
Y:alter table functional rename key functional_index_2 to fk2, add column z int after id
Y:create table functional2 like functional
Y:alter table functional2 drop key fk2
Y:alter table functional2 drop key k1, drop key functional_index_3
M:create table hashed (id int primary key, b blob, unique (b))
M:create table hashed2 (id int, t text, z varchar(2000), v int as (id+1), unique (t, id), unique (z), unique (v), unique q (t(10)), unique using hash (id, v))
M:create table hashed3 (id int, t varchar(300), unique (t)) engine=myisam charset utf8mb4
M:create table hashed5 (id int not null, unique using hash (id)) engine=memory
M:alter table hashed add c text unique, add unique (id) using hash
M:alter table hashed drop index b, modify c text not null
create table dup_inline (a int primary key unique, b int unique)
create index i1 on keys9 (a)
create unique index i2 using btree on keys9 (b desc, a)
CREATE UNIQUE INDEX `i 3` ON ddl_a.`keys9` (`a`) COMMENT 'x' ALGORITHM=INPLACE LOCK=DEFAULT
M:create or replace index i1 on keys9 (b)
M:create index if not exists i1 on keys9 (a)
M:drop index if exists i1 on keys9
M:drop index if exists i1 on keys9
M:drop index `i 3` on keys9 wait 5
Y:drop index `i 3` on keys9 algorithm=inplace lock=none
create fulltext index ft9 on texts (a)

-- alter table
create table t (id int primary key, a int, b int, c varchar(20), d text)
alter table t add e int
alter table t add column f int first
alter table t add column g int after a
alter table t add column (h int, i varchar(3) unique, index (h))
alter table t add (j int not null)
M:alter table t add column if not exists e varchar(9), add column if not exists k int unique
M:alter table t add column if not exists k int unique
M:alter table t drop column if exists nope, drop if exists k
M:alter table t modify column if exists nope int, change column if exists nope2 nope3 int
alter table t drop column e, drop f
alter table t change a a bigint unsigned not null, change column b bb int after d
alter table t modify a int first, modify column c varchar(30) after bb
alter table t rename column bb to b
alter table t rename column a to b, rename column b to a
alter table t change a b int, change b a int
alter table t add k int, add l int after k, drop column g, add m int first
alter table t drop column m, add column m text first
alter table t modify d text after a, modify c varchar(9) first, add x1 int after d, add x2 int after x1
alter table t drop primary key
alter table t add primary key (id, a)
alter table t drop primary key, add primary key (id)
alter table t add unique key u1 (a, b), add index i1 (b), add unique (c)
alter table t rename index u1 to u2, rename key i1 to i2
alter table t drop key u2, drop index c
alter table t add unique u3 (a, b), add unique u4 (k)
alter table t change a aa int not null, modify b int not null
alter table t drop column k
Y:alter table t drop column b
M:alter table t drop index u3, drop column b
alter table t alter column h set default 5, alter l drop default
alter table t engine=myisam
alter table t engine = InnoDB row_format=dynamic comment 'drop column x1' auto_increment = 10
alter table t convert to character set latin1
alter table t convert to character set utf8mb4 collate utf8mb4_bin
alter table t convert to charset utf8
Y:alter table t convert to character set default
alter table t default character set latin1
alter table t add y1 varchar(9), add y2 text charset ucs2
alter table t collate utf8mb4_unicode_ci
alter table t default charset = utf8mb4 collate = utf8mb4_general_ci, add y3 char(3)
alter table t add y4 varchar(9) charset utf8mb4, convert to character set latin1, modify y1 varchar(7)
alter table t order by id, l desc
alter table t order by id
alter table t force
alter table t disable keys
alter table t enable keys, add z1 int
alter table t add z2 int, algorithm=inplace, lock=none
alter table t algorithm=copy, lock = shared, drop z2
M:alter online table t add z3 int
M:alter table t wait 5 add z4 int
M:alter table t nowait drop column z4
M:alter ignore table t add unique (z1)
Y:alter table t add unique (z1)
M:alter table if exists t drop column z3
M:alter table if exists nope drop column z3
M:alter table t add constraint if not exists cc check (id > 0)
M:alter table t add index if not exists i2 (id), add unique if not exists (id), add index if not exists i9 (id)
M:alter table t drop index if exists i9, drop constraint cc
alter table t add constraint kk unique (l)
M:alter table t drop constraint kk
Y:alter table t drop index kk
alter table t rename to t2
alter table t2 rename as ddl_b.t3, add moved int
alter table ddl_b.t3 rename t4
use ddl_b
alter table ddl_a.t4 rename t5
alter table t5 rename ddl_a.t
use ddl_a
alter table t comment='a', add b1 int, rename to tt
alter table tt rename t
alter table t add b2 int comment 'first' first, add b3 varchar(9) default 'after' after b2
Y:alter table t alter index z1 invisible, add b4 int
M:alter table t alter index i2 ignored, add b4 int
alter table t add first int, add after_ int after first
alter table t drop first
create table conv (a text charset latin1, b mediumtext charset latin1, c tinytext charset latin1, d varchar(60000) charset latin1, e enum('x') charset latin1, f varbinary(3), g json) charset latin1
set sql_mode=''
alter table conv convert to character set utf8mb4
set sql_mode=default
create table conv2 (a text charset utf8, b tinytext charset utf8, c char(3), d varchar(21000) charset utf8) charset utf8
alter table conv2 modify d varchar(10), convert to character set utf8mb4
alter table conv2 convert to character set binary
alter table conv2 convert to character set utf8mb4
create table prefix (a varchar(20), b text not null, unique u (a(10)), unique w (b(10)))
alter table prefix modify a varchar(10) not null
alter table prefix modify a varchar(30) not null
alter table prefix modify b varchar(10) not null
alter table prefix modify a varchar(10) not null, modify b varchar(8) not null
create table pkmod (a int, b int, primary key (a, b), unique (b))
alter table pkmod modify a bigint
alter table pkmod change b c int first, modify a int unsigned
alter table pkmod drop primary key, modify a int null
create table fks (a int, b int, constraint fx foreign key (a) references keys1 (id))
alter table fks add key a1 (a, b)
alter table fks add constraint fy foreign key (b) references keys1 (id)
alter table fks drop foreign key fy
alter table fks drop foreign key fx, drop key a1
alter table fks add unique (b)

-- partitions
create table p1 (id int not null, c varchar(9), primary key (id)) engine=innodb partition by range (id) (partition p0 values less than (10), partition p1 values less than maxvalue comment = 'x')
alter table p1 add column x int
alter table p1 partition by hash (id) partitions 4
alter table p1 coalesce partition 2
alter table p1 add partition partitions 2
alter table p1 remove partitioning
create table p2 (id int not null, d date) partition by list (id) (partition a values in (1, 2), partition b values in (3))
alter table p2 add partition (partition c values in (4))
alter table p2 reorganize partition a, b into (partition ab values in (1, 2, 3))
alter table p2 truncate partition ab, c
alter table p2 drop partition c
alter table p2 rebuild partition ab
create table p3 (id int not null, d date)
alter table p2 exchange partition ab with table p3
create table p4 (id int, d datetime not null) partition by range (to_days(d)) subpartition by hash (id) subpartitions 2 (partition p0 values less than (to_days('2020-01-01')), partition p1 values less than maxvalue)
M:alter table p2 add partition (partition dd values in (9))
M:alter table p2 convert partition ab to table p5
M:alter table p2 convert table p5 to partition ab2 values in (7)

-- create table in other ways
create table like1 like keys2
create table like2 (like t)
create table if not exists like1 (a int)
M:create or replace table like1 (a int, b int)
M:create or replace table like1 like keys4
create table ddl_b.elsewhere (a char(3), b varchar(4) charset utf8mb4)
create table ddl_b.elsewhere2 like ddl_a.charsets
create table select1 as select 1 as a, 'x' as b, id from keys1
create table select2 (x int primary key) select 5 as x, 1.5 as y
M:create or replace table select2 engine=myisam as select * from keys2
create temporary table temp1 (a int)
alter table temp1 add b int
insert into temp1 values (1, 2)
create table from_temp like temp1
create table from_temp2 as select * from temp1
drop temporary table temp1
create temporary table temp2 (a int)
drop table temp2
M:create or replace temporary table t (zz int)
M:drop table t
M:create sequence seq1
M:create or replace sequence seq1 start with 5
M:create sequence if not exists seq2 increment by 2
M:select nextval(seq1)
M:alter sequence seq1 restart 50
M:create table seq3 (next_not_cached_value bigint(21) not null, minimum_value bigint(21) not null, maximum_value bigint(21) not null, start_value bigint(21) not null, increment bigint(21) not null, cache_size bigint(21) unsigned not null, cycle_option tinyint(1) unsigned not null, cycle_count bigint(21) not null) sequence=1
M:rename table seq2 to seq4
M:drop sequence seq1
M:drop sequence if exists seq1, seq4
M:drop table seq3
create view v1 as select * from keys1
alter view v1 as select id from keys1
?rename table v1 to v2
drop view v2
create trigger trg1 before insert on keys1 for each row set new.a = 1
create procedure proc1 () create table in_proc (a int)
call proc1()
drop procedure proc1
create function fun1 () returns int deterministic return 1
drop function fun1
create event ev1 on schedule at "2037-01-01 00:00:00" do drop table t
drop event ev1
create user ddl_user
grant select on ddl_a.* to ddl_user
revoke select on ddl_a.* from ddl_user
rename user ddl_user to ddl_user2
drop user ddl_user2
analyze table t
optimize table t
flush tables
truncate table ints
truncate ints
M:set statement max_statement_time=100 for alter table t add stmt1 int
M:set statement max_statement_time=100, sort_buffer_size=100000 for create table stmt2 (a int)

-- dropping and renaming
create table d1 (a int)
create table d2 (b int)
create table d3 (c int)
rename table d1 to d1x, d2 to d1, d1x to d2
rename table d3 to ddl_b.d3
rename table ddl_b.d3 to d3, d3 to d4
M:rename table if exists nope to nope2, d4 to d3
M:rename tables d3 wait 5 to d4
M:rename table d4 nowait to d3
drop table if exists nope
drop tables d1, d2
drop table if exists d3, nope, ddl_b.elsewhere restrict
create table `d``5` (a int)
DROP TABLE `d``5` CASCADE

-- gh-ost
create table orders (id bigint not null auto_increment, total decimal(9,2), state enum('new','paid') default 'new', primary key (id)) engine=innodb
create /* gh-ost */ table `ddl_a`.`_orders_ghc` (id bigint unsigned auto_increment, last_update timestamp not null DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, hint varchar(64) charset ascii not null, value varchar(4096) charset ascii not null, primary key(id), unique key hint_uidx(hint)) auto_increment=256
create /* gh-ost */ table `ddl_a`.`_orders_gho` like `ddl_a`.`orders`
alter /* gh-ost */ table `ddl_a`.`_orders_gho` add column note varchar(50) after total, modify state enum('new','paid','gone')
insert /* gh-ost `ddl_a`.`orders` */ ignore into `ddl_a`.`_orders_gho` (`id`, `total`, `state`) (select `id`, `total`, `state` from `ddl_a`.`orders` force index (`PRIMARY`) lock in share mode)
create /* gh-ost */ table `ddl_a`.`_orders_del` (id int auto_increment primary key) engine=InnoDB comment='ghost-cut-over-sentry'
drop /* gh-ost */ table if exists `ddl_a`.`_orders_del`
rename /* gh-ost */ table `ddl_a`.`orders` to `ddl_a`.`_orders_del`, `ddl_a`.`_orders_gho` to `ddl_a`.`orders`
drop /* gh-ost */ table if exists `ddl_a`.`_orders_ghc`
drop /* gh-ost */ table if exists `ddl_a`.`_orders_del`

-- pt-online-schema-change
CREATE TABLE `ddl_a`.`_orders_new` ( `id` bigint(20) NOT NULL AUTO_INCREMENT, `total` decimal(9,2) DEFAULT NULL, `note` varchar(50) DEFAULT NULL, `state` enum('new','paid','gone') DEFAULT NULL, PRIMARY KEY (`id`) ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
ALTER TABLE `ddl_a`.`_orders_new` ADD COLUMN code char(3) NOT NULL DEFAULT '', ADD UNIQUE KEY code (code, id)
CREATE TRIGGER `pt_osc_ddl_a_orders_del` AFTER DELETE ON `ddl_a`.`orders` FOR EACH ROW DELETE IGNORE FROM `ddl_a`.`_orders_new` WHERE `ddl_a`.`_orders_new`.`id` <=> OLD.`id`
INSERT LOW_PRIORITY IGNORE INTO `ddl_a`.`_orders_new` (`id`, `total`) SELECT `id`, `total` FROM `ddl_a`.`orders` LOCK IN SHARE MODE /*pt-online-schema-change 1 copy table*/
ANALYZE TABLE `ddl_a`.`_orders_new` /* pt-online-schema-change */
RENAME TABLE `ddl_a`.`orders` TO `ddl_a`.`_orders_old`, `ddl_a`.`_orders_new` TO `ddl_a`.`orders`
DROP TABLE IF EXISTS `ddl_a`.`_orders_old`
DROP TRIGGER IF EXISTS `ddl_a`.`pt_osc_ddl_a_orders_del`

-- system versioning
M:set system_versioning_alter_history=keep
M:create table sv1 (id int primary key, x int) with system versioning
M:create table sv2 (id int primary key, x int, rs timestamp(6) generated always as row start, re timestamp(6) generated always as row end, period for system_time (rs, re), unique (x)) with system versioning
M:create table sv3 (x int without system versioning, y int with system versioning, z int)
M:create table sv4 (x int, y int with system versioning)
M:create table sv5 (id int, b text, rs bigint unsigned generated always as row start invisible, re bigint unsigned as row end invisible, period for system_time (rs, re), unique (b)) with system versioning engine=innodb
M:create table sv6 like sv1
M:create table sv7 (id int, s date, e date, period for p (s, e), unique (id, p without overlaps), primary key (s))
M:create table sv8 (period int, s date, e date, period for p (s, e))
M:alter table sv1 add y int
M:alter table sv1 add z int first, drop x
M:alter table sv2 add y int, modify x bigint
M:alter table sv2 add y2 int after x, add unique (y)
M:alter table sv1 drop system versioning
M:alter table sv1 add system versioning
M:alter table sv2 drop system versioning, drop column rs, drop column re
M:create table sv9 (a int, b int)
M:alter table sv9 add column rs timestamp(6) generated always as row start, add column re timestamp(6) generated always as row end, add period for system_time (rs, re), add system versioning
M:alter table sv9 drop system versioning, drop column rs, drop column re
M:alter table sv8 drop period for p, add t1 date not null, add t2 date not null
M:alter table sv8 add period for q (t1, t2), add unique (period, q without overlaps)
M:alter table sv6 add unique (x), drop primary key
M:create or replace table sv6 (a int) with system versioning partition by system_time (partition h history, partition c current)
drop database ddl_b
