#!/usr/bin/env python3
"""Records tables.bin: what every code of every character set becomes in the servers' own CONVERT(.. USING utf8mb4).

    record.py MARIADB_SOCKET MYSQL_SOCKET

Each socket is a server one may write to (database `charset_record` is made and dropped), root without a password; the
`mariadb` client must be on the PATH. Both servers are asked; where both know a set and differ in a code that both call
well formed, nothing is written: one table serves both.

The fixed-width sets (ucs2, utf16, utf16le, utf32), ascii and utf8 need no table.

tables.bin is, for each set: a byte with the name's length, the name, a u32 with the length of what follows, and a zlib
stream. Inside the stream, all little-endian: a u16 with the number of pages, each page 256 u16 (first all low bytes of
the page, then all high bytes, which compresses better), a u16 with the number of runs, each run three u32.

Page 0 is for a character's first byte. An entry is the code point, or
    0xd800 + n   the next byte is looked up in page n
    0xdffe       the first two of four bytes: looked up in the runs (gb18030)
    0xdfff       no character begins or goes on like this
    0xfffd       a character of the set that has no code point, or (three of big5) this one
A run is the first place in gb18030's four-byte space, the code point there, and how many follow in step.
"""
import os, subprocess, sys, zlib

MORE, FOUR, NONE, UNMAPPED = 0xD800, 0xDFFE, 0xDFFF, 0xFFFD
HERE = os.path.dirname(os.path.abspath(__file__))
NO_TABLE = "('ascii','binary','ucs2','utf16','utf16le','utf32','utf8','utf8mb3','utf8mb4')"


def ask(socket, sql):
    client = ["mariadb", "--no-defaults", "-N", "-B", "-uroot", "--default-character-set=utf8mb4", "--socket=" + socket]
    done = subprocess.run(client, input=sql.encode(), capture_output=True)
    if done.returncode:
        sys.exit(done.stderr.decode())
    return [line.split("\t") for line in done.stdout.decode().splitlines()]


def prepare(socket):
    rows = ",".join(f"({n},x'{n:02x}')" for n in range(256))
    ask(socket, f"""DROP DATABASE IF EXISTS charset_record; CREATE DATABASE charset_record; USE charset_record;
        CREATE TABLE b (n INT PRIMARY KEY, h BINARY(1)); INSERT INTO b VALUES {rows};""")


def codes(socket, charset, of):
    """Code -> code point, or None where it has none, of those that are one well-formed character."""
    found = {}
    # The sql mode: an ill-formed value is replaced, so that it differs from what went in, instead of an error.
    sql = f"""SET sql_mode=''; USE charset_record; SELECT HEX(v), HEX(CONVERT(v USING {charset})),
        HEX(CONVERT(CONVERT(v USING {charset}) USING utf8mb4)), CHAR_LENGTH(CONVERT(v USING {charset}))
        FROM (SELECT {of}) x;"""
    for code, kept, utf8, length in ask(socket, sql):
        if kept != code or length != "1":
            continue
        text = bytes.fromhex(utf8).decode()
        if not text:
            continue  # Called well formed, but only the beginning of a character.
        assert len(text) == 1, (charset, code, utf8)
        found[bytes.fromhex(code)] = None if text == "?" and code != "3F" else ord(text)
    return found


def everything(socket, charset):
    found = codes(socket, charset, "h v FROM b")
    if charset in SEVERAL:
        pair = "CONCAT(a.h, b.h) v FROM b a, b b WHERE a.n >= 128"
        found.update(codes(socket, charset, pair))
        found.update(codes(socket, charset, pair.replace("CONCAT(", "CONCAT(x'8f', ")))
    if charset == "gb18030":
        four = ", ".join(f"b {name}" for name in "abcd")
        where = " AND ".join(f"{name}.n BETWEEN {first} AND {last}" for name, first, last in
                             [("a", 0x81, 0xFE), ("b", 0x30, 0x39), ("c", 0x81, 0xFE), ("d", 0x30, 0x39)])
        found.update(codes(socket, charset, f"CONCAT(a.h, b.h, c.h, d.h) v FROM {four} WHERE {where}"))
    return found


SEVERAL = {"big5", "cp932", "eucjpms", "euckr", "gb18030", "gb2312", "gbk", "sjis", "ujis"}


def merged(charset, answers):
    """Codes that one server calls ill formed are taken from the other: reading them harms nobody."""
    table = {}
    for answer in answers:
        for code, point in answer.items():
            # MySQL 8.0 calls a single byte of eucjpms well formed that no character is; it has no code point.
            if len(code) == 1 and code[0] >= 128 and point is None and charset in SEVERAL:
                continue
            assert table.setdefault(code, point) == point, (charset, code.hex(), point, table[code])
    return table


def packed(table):
    pages, runs = [[NONE] * 256], []
    for code, point in sorted(table.items()):
        if len(code) == 4:
            a, b, c, d = code
            place = ((a - 0x81) * 10 + b - 0x30) * 1260 + (c - 0x81) * 10 + d - 0x30
            descend(pages, code[:1])[code[1]] = FOUR
            if point is None:
                continue
            if runs and place - runs[-1][0] == point - runs[-1][1] == runs[-1][2]:
                runs[-1][2] += 1
            else:
                runs.append([place, point, 1])
            continue
        assert point is None or point < 0xD800 or 0xDFFF < point <= UNMAPPED, (code, point)
        descend(pages, code[:-1])[code[-1]] = UNMAPPED if point is None else point
    out = len(pages).to_bytes(2, "little")
    for page in pages:
        out += bytes(entry & 255 for entry in page) + bytes(entry >> 8 for entry in page)
    out += len(runs).to_bytes(2, "little")
    return out + b"".join(number.to_bytes(4, "little") for run in runs for number in run)


def descend(pages, prefix):
    page = pages[0]
    for byte in prefix:
        if page[byte] == NONE:
            page[byte] = MORE + len(pages)
            pages.append([NONE] * 256)
        page = pages[page[byte] - MORE]
    return page


def main(sockets):
    known = {}
    for socket in sockets:
        prepare(socket)
        names = ask(socket, "SELECT CHARACTER_SET_NAME FROM information_schema.CHARACTER_SETS "
                            f"WHERE CHARACTER_SET_NAME NOT IN {NO_TABLE}")
        for (name,) in names:
            known.setdefault(name, []).append(everything(socket, name))
        ask(socket, "DROP DATABASE charset_record")
    with open(os.path.join(HERE, "tables.bin"), "wb") as out:
        for name, answers in sorted(known.items()):
            data = zlib.compress(packed(merged(name, answers)), 9)
            out.write(bytes([len(name)]) + name.encode() + len(data).to_bytes(4, "little") + data)
            print(f"{name}: {len(answers)} servers, {len(data)} bytes")


main(sys.argv[1:3])
