-- MariaDB's own: JSON as checked text, UUIDs, invisible columns.
USE types;
CREATE TABLE js (id INT PRIMARY KEY, j JSON);
INSERT INTO js VALUES (1, '{"a": 1,  "b": [true, false, null]}'), (2, '[]'), (3, NULL), (4, '"ü 😀 \\n"'), (5, '{"b":1,"a":2}');
UPDATE js SET j = JSON_SET(j, '$.a', 2) WHERE id = 1;
CREATE TABLE uuids (id INT PRIMARY KEY, u UUID);
INSERT INTO uuids VALUES (1, '123e4567-e89b-12d3-a456-426655440000'), (2, '00000000-0000-0000-0000-000000000000'), (3, NULL), (4, 'ffffffff-ffff-ffff-ffff-ffffffffff00');
CREATE TABLE serials (id SERIAL, v INT DEFAULT (1 + 1));
INSERT INTO serials VALUES (18446744073709551614, 1);
UPDATE serials SET v = 5;
