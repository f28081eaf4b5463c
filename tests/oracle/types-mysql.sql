-- MySQL's own: binary JSON, spatial columns with an SRID, default expressions.
USE types;
CREATE TABLE js (id INT PRIMARY KEY, j JSON);
INSERT INTO js VALUES (1, '{"a": 1, "b": [true, false, null], "c": {"d": "e"}}'), (2, '[]'), (3, '{}'), (4, 'null'), (5, NULL), (6, '"text"'),
  (7, '123'), (8, '-1.5'), (9, '1e100'), (10, '18446744073709551615'), (11, '"esc \\"q\\" \\\\ \\n \\u0001 ü 😀 /"'), (12, '[1, [2, [3, {"x": []}]]]'),
  (13, '-9223372036854775808'), (14, '{"": 0, "zz": 1, "b": 2, "aaa": 3}'), (15, '[0.1, 1.0, 100, 1e-7, 1.7976931348623157e308, -0.0]');
INSERT INTO js VALUES (20, JSON_OBJECT('d', CAST('2024-02-29' AS DATE), 't', CAST('12:30:01.5' AS TIME(3)), 'dt', CAST('2024-02-29 12:30:01.000120' AS DATETIME(6)),
  'dec', CAST(123.4500 AS DECIMAL(10,4)), 'bin', CAST('abc' AS BINARY), 'bit', b'101', 'y', CAST(2024 AS UNSIGNED), 'neg', CAST('-12:00:00' AS TIME))),
  (21, JSON_ARRAY(CAST('2024-01-01 00:00:00' AS DATETIME), CAST(1 AS DECIMAL(5,0)), CAST(-0.50 AS DECIMAL(5,2)), CAST('838:59:59' AS TIME))),
  (22, CONCAT('{"long": "', REPEAT('x', 300), '"}'));
UPDATE js SET j = JSON_SET(j, '$.a', 2) WHERE id = 1;
CREATE TABLE srids (id INT PRIMARY KEY, p POINT SRID 4326, g GEOMETRY SRID 0);
INSERT INTO srids VALUES (1, ST_GeomFromText('POINT(1 2)', 4326), ST_GeomFromText('POINT(3 4)'));
CREATE TABLE serials (id SERIAL, v INT DEFAULT (1 + 1));
INSERT INTO serials VALUES (18446744073709551614, 1);
UPDATE serials SET v = 5;
