-- What stops Debezium 3.5.0 on MariaDB; here the server's own SELECT is the oracle.
USE types;
SET sql_mode = 'NO_ENGINE_SUBSTITUTION,ALLOW_INVALID_DATES';
CREATE TABLE februaries (id INT PRIMARY KEY, d DATE, dn DATE NOT NULL, dt DATETIME(6));
INSERT INTO februaries VALUES (1, '2023-02-31', '2023-02-31', '2023-02-31 01:02:03.5');
CREATE TABLE inets (id INT PRIMARY KEY, i4 INET4, i6 INET6);
INSERT INTO inets VALUES (1, '10.0.0.1', '::1'), (2, '255.255.255.255', '2001:db8::ff00:42:8329'), (3, NULL, NULL), (4, '0.0.0.0', '::'), (5, '1.2.3.4', '::ffff:1.2.3.4');
CREATE TABLE compressed (id INT PRIMARY KEY, v VARCHAR(1000) COMPRESSED, t TEXT COMPRESSED, b BLOB COMPRESSED, l VARCHAR(500) CHARACTER SET latin1 COMPRESSED);
INSERT INTO compressed VALUES (1, 'short', 'ü', 0x00ff, 'é'), (2, REPEAT('long ', 100), REPEAT('ü', 200), REPEAT(0x00ff, 200), REPEAT('é', 200)), (3, '', '', '', ''), (4, NULL, NULL, NULL, NULL);
CREATE TABLE versioned (id INT PRIMARY KEY, v INT) WITH SYSTEM VERSIONING;
INSERT INTO versioned VALUES (1, 1), (2, 2);
UPDATE versioned SET v = 3 WHERE id = 1;
DELETE FROM versioned WHERE id = 2;
CREATE SEQUENCE seq START WITH 1;
SELECT NEXTVAL(seq);
CREATE TABLE after_all (id INT PRIMARY KEY);
INSERT INTO after_all VALUES (1);
