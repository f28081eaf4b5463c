#!/usr/bin/env python3
"""Traces seen whole in Zipkin's server, a store and a UI that we did not write, and the picture of one for docs/traces.md.

    scripts/trace-picture.py LIMPID [--drop NAME] [--picture FILE]

LIMPID is the binary. Starts a MariaDB, a Kafka broker, an OpenTelemetry Collector and Zipkin in a temporary folder, has
LIMPID copy a table in chunks and carry transactions, one of them with an application's `traceparent`, maps what the
collector received to Zipkin's spans and posts them, and reads every trace back. Exits 0 when each is whole and has no
value of a row, 1 with what is missing, 2 when something that it needs is not here. With `--drop` the first span whose
name begins so (Filter, say, or `process` for a root) is not posted: the check must fail then, and no picture is taken.

Owns: the mapping to Zipkin's form, what a whole trace is, the picture. Does not own: how the servers are fetched
(scripts/setup.sh), but for Zipkin, which Maven brings, and Chromium, which apt brings if there is none.

Invariant: everything that was started ends with the script, however that ends.
"""
import argparse, contextlib, ctypes, glob, http.server, json, os, shutil, signal, socket, subprocess, sys, tempfile, threading
import time, urllib.error, urllib.request

ZIPKIN = "3.6.1"
HERE = os.path.dirname(os.path.abspath(__file__))
PICTURE = os.path.join(HERE, "..", "docs", "trace-zipkin.png")
WIDTH, HEIGHT, BYTES_MAX = 1300, 960, 200_000
# A start of Java takes 5 s on two cores that are idle; this is for those that are not.
PATIENCE = 300

# W3C's own example of an application's span.
APP_TRACE, APP_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
STAGES = ["Input", "Filter", "Scheduler", "Output"]
KINDS = {2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}

COPIED, CHUNK_ROWS = 600, 250
# Keys and values that nothing else looks like: none may be in any span.
SECRET, KEY = "no-row-value-leaves", "7310580426183"
TABLES = f"""
CREATE DATABASE shop; USE shop;
CREATE TABLE customers (id BIGINT PRIMARY KEY, name VARCHAR(60));
CREATE TABLE orders (id BIGINT PRIMARY KEY, customer BIGINT, note VARCHAR(60));
CREATE TABLE order_lines (id BIGINT PRIMARY KEY, order_id BIGINT, article VARCHAR(60));
INSERT INTO customers SELECT {KEY}0000 + seq, '{SECRET}' FROM seq_1_to_{COPIED};
CREATE USER limpid@'%' IDENTIFIED BY 'limpid';
GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO limpid@'%';
GRANT SELECT ON shop.* TO limpid@'%';
"""
TRANSACTIONS = {
    # What comes first waits for the making of topics, which the picture is not about.
    "the first": f"""
BEGIN; INSERT INTO orders VALUES ({KEY}0001, 0, '{SECRET}'); INSERT INTO order_lines VALUES ({KEY}0002, 0, ''); COMMIT;
""",
    # MariaDB logs the second of a commit. One right after that second began has the times it really had.
    "two tables": f"""
DO SLEEP(1.002 - MICROSECOND(NOW(6)) / 1e6);
BEGIN;
INSERT INTO orders VALUES ({KEY}0003, {KEY}0007, '{SECRET}');
INSERT INTO order_lines VALUES ({KEY}0004, {KEY}0003, '{SECRET}'), ({KEY}0005, {KEY}0003, '{SECRET}');
UPDATE orders SET note = '{SECRET}, changed' WHERE id = {KEY}0003;
COMMIT;
""",
    "of an application": f"""
INSERT INTO orders VALUES ({KEY}0006, {KEY}0008, '{SECRET}') /*traceparent='00-{APP_TRACE}-{APP_SPAN}-01'*/;
""",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("limpid")
    parser.add_argument("--drop", metavar="NAME")
    parser.add_argument("--picture", metavar="FILE", default=PICTURE)
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    found = Programs(options.limpid, with_browser=not options.drop)
    with tempfile.TemporaryDirectory(prefix="trace-picture-", ignore_cleanup_errors=True) as folder, Stack(folder) as stack:
        zipkin = start_zipkin(stack, found)
        broker = start_kafka(stack, found)
        server = MariaDb(stack, found)
        sink = Sink(stack)
        otlp = start_collector(stack, found, sink)
        gtids = run_limpid(stack, found, server, broker, otlp, sink)
        stack.until("Zipkin to be up", lambda: "UP" in (ask(f"{zipkin}/health", none={404, 503}) or ""))
        missing, shown = check(zipkin, sink, gtids, options.drop)
        if missing:
            say("NOT whole:\n  " + "\n  ".join(missing))
            sys.exit(1)
        if found.browser:
            take_picture(stack, found, f"{zipkin}/zipkin/traces/{shown[0]['traceId']}", shown, options.picture)


# What must be so of the traces.


def check(zipkin, sink, gtids, drop):
    """What is missing, as sentences, and the spans of the transaction for the picture."""
    sent = {}
    for span in sink.spans():
        sent.setdefault(span["traceId"], []).append(span)
    posted = [span for spans in sent.values() for span in spans]
    if drop:
        named = [span for span in posted if span["name"].startswith(drop)]
        if not named:
            raise Failed(f"no span begins with {drop}")
        posted.remove(named[0])
    ask(f"{zipkin}/api/v2/spans", json.dumps(posted).encode())
    texts = read_back(zipkin, sent, len(posted))
    seen = {trace: json.loads(text) for trace, text in texts.items()}
    missing = [f"trace {trace}: {what}" for trace, spans in sent.items() for what in lacks(trace, spans, seen[trace])]
    everything = [*((f"trace {trace}", text) for trace, text in texts.items()), ("the collector", "".join(sink.bodies))]
    missing += [f"{where} has {value}, of a row" for where, text in everything for value in (SECRET, KEY) if value in text]
    every = [span for spans in seen.values() for span in spans]
    shown = []
    for what, gtid in gtids.items():
        roots = [span for span in every if span.get("tags", {}).get("limpid.txn.id") == gtid]
        if len(roots) != 1:
            missing.append(f"{what} ({gtid}): {len(roots)} roots")
            continue
        root, spans = roots[0], seen[roots[0]["traceId"]]
        if what == "two tables":
            shown = spans
            tables = {span["tags"].get("db.collection.name") for span in spans if span["name"] == "output"}
            if tables != {"orders", "order_lines"}:
                missing.append(f"{what} ({gtid}): an Output for each, there are {tables}")
        if what == "of an application" and (root["traceId"], root.get("parentId")) != (APP_TRACE, APP_SPAN):
            missing.append(f"{what} ({gtid}): it is not in the application's trace, below its span")
    chunks = [int(span["tags"]["limpid.rows"]) for span in every if "limpid.chunk.id" in span.get("tags", {})]
    if sum(chunks) != COPIED or len(chunks) < 2:
        missing.append(f"chunks with {COPIED} rows together: there are {chunks}")
    say(f"{len(sent)} traces, {sum(map(len, sent.values()))} spans received by the collector, {len(every)} in Zipkin: "
        f"{len(gtids)} transactions, {len(chunks)} chunks of {sum(chunks)} rows")
    return missing, shown


def read_back(zipkin, traces, count):
    """What Zipkin has of each, as it says it. It stores in a thread of its own, so it is asked until all are there, or 20 s."""
    for _ in range(100):
        texts = {trace: ask(f"{zipkin}/api/v2/trace/{trace}", none={404}) or "[]" for trace in traces}
        if sum(len(json.loads(text)) for text in texts.values()) >= count:
            break
        time.sleep(0.2)
    return texts


def lacks(trace, sent, seen):
    """What one trace lacks to be whole. `sent` is what the collector got, `seen` what Zipkin has."""
    ids = {span["id"] for span in seen}
    for span in sent:
        if span["id"] not in ids:
            yield f"span {span['name']} ({span['id']}) did not arrive"
    if len(seen) != len(ids):
        yield f"{len(seen)} spans with {len(ids)} ids"
    is_app = trace == APP_TRACE
    tops = [span for span in seen if span.get("parentId") == (APP_SPAN if is_app else None)]
    if len(tops) != 1:
        yield f"{len(tops)} roots"
    for span in seen:
        if span not in tops and span.get("parentId") not in ids:
            yield f"the parent of span {span['name']} ({span['id']}) is not there"
    # Zipkin writes names in lower case.
    names = {span["name"] for span in seen}
    for stage in STAGES:
        if stage.lower() not in names:
            yield f"no span {stage}"
    if any("limpid.spans_left_out" in span.get("tags", {}) for span in seen):
        yield "it says that spans were left out"


def zipkin_form(span, service):
    """One span of OTLP's JSON in Zipkin's v2 form, after OpenTelemetry's document on that mapping; links have no place there."""
    start, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
    tags = {pair["key"]: plain(pair["value"]) for pair in span.get("attributes", [])}
    status = span.get("status", {})
    if status.get("code") == 2:
        tags |= {"otel.status_code": "ERROR", "error": status.get("message") or tags.get("error.type", "true")}
    form = {"traceId": span["traceId"], "id": span["spanId"], "name": span["name"], "timestamp": start // 1000,
            "duration": max(1, (end - start) // 1000), "localEndpoint": {"serviceName": service}, "tags": tags}
    if span.get("parentSpanId"):
        form["parentId"] = span["parentSpanId"]
    if span.get("kind") in KINDS:
        form["kind"] = KINDS[span["kind"]]
    return form


def plain(value):
    kind, inner = next(iter(value.items()))
    if kind == "arrayValue":
        return json.dumps([plain(one) for one in inner.get("values", [])])
    return str(inner).lower() if kind == "boolValue" else str(inner)


# What runs.


class Stack:
    """The processes and threads that end with it, each with its folder and its log."""

    def __init__(self, folder):
        # Servers that run under an account of their own pass through it.
        os.chmod(folder, 0o711)
        self.folder, self.running, self.after = folder, {}, contextlib.ExitStack()
        self.libc = ctypes.CDLL(None)
        # Held together until all are known, so that no two are the same.
        with contextlib.ExitStack() as held:
            sockets = [held.enter_context(socket.socket()) for _ in range(6)]
            for one in sockets:
                one.bind(("127.0.0.1", 0))
            self.ports = [one.getsockname()[1] for one in sockets]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        # Everything is in a folder that goes, so nothing needs a clean end; who needs one had it.
        for process in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.after.close()

    def home(self, name):
        path = os.path.join(self.folder, name)
        os.makedirs(path, exist_ok=True)
        return path

    def log(self, name):
        return os.path.join(self.folder, f"{name}.log")

    def start(self, name, args, account=None):
        die_with_parent = 1  # PR_SET_PDEATHSIG: also where the script is killed.
        with open(self.log(name), "ab") as log:
            self.running[name] = subprocess.Popen(
                args, cwd=self.home(name), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=lambda: self.libc.prctl(die_with_parent, signal.SIGKILL), **(account or {}))

    def run(self, name, args, **how):
        """Until it ends."""
        self.start(name, args, **how)
        self.ended(name)

    def ended(self, name):
        self.until(f"{name} to end", lambda: self.running[name].poll() is not None)
        if self.running.pop(name).returncode:
            raise Failed(f"{name} failed:\n{self.tail(name)}")

    def until(self, what, holds):
        end = time.monotonic() + PATIENCE
        while not holds():
            for name, process in self.running.items():
                if process.poll() is not None and what != f"{name} to end":
                    raise Failed(f"{name} ended while waiting for {what}:\n{self.tail(name)}")
            if time.monotonic() > end:
                raise Failed(f"waited {PATIENCE} s for {what}")
            time.sleep(0.2)

    def listens(self, name, port):
        def holds():
            with socket.socket() as one:
                return one.connect_ex(("127.0.0.1", port)) == 0
        self.until(f"{name} to listen", holds)

    def tail(self, name):
        with open(self.log(name), errors="replace") as log:
            return "".join(log.readlines()[-20:])


class Failed(Exception):
    pass


def start_zipkin(stack, found):
    port = stack.ports[0]
    # Its own QUERY_PORT listens on every address.
    listen = [f"--armeria.ports[0].{key}" for key in ("ip=127.0.0.1", f"port={port}", "protocols[0]=http")]
    stack.start("zipkin", [*found.java("128m"), "-jar", found.zipkin, *listen])
    return f"http://127.0.0.1:{port}"


def start_kafka(stack, found):
    port, controller = stack.ports[1:3]
    home = stack.home("kafka")
    settings = {
        "process.roles": "broker,controller", "node.id": 1, "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}", "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT", "log.dirs": f"{home}/data",
        "offsets.topic.replication.factor": 1, "offsets.topic.num.partitions": 1,
        "transaction.state.log.replication.factor": 1, "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 1, "auto.create.topics.enable": "false",
    }
    write(f"{home}/s.properties", "".join(f"{key}={value}\n" for key, value in settings.items()))
    write(f"{home}/log4j.properties", "log4j.rootLogger=WARN, o\nlog4j.appender.o=org.apache.log4j.ConsoleAppender\n"
                                      "log4j.appender.o.layout=org.apache.log4j.SimpleLayout\n")
    java = [*found.java("256m"), f"-Dlog4j.configuration=file:{home}/log4j.properties", "-cp", f"{found.kafka}/*"]
    format_it = ["kafka.tools.StorageTool", "format", "-t", "bGltcGlkLXRyYWNlLXBpYw", "-c", f"{home}/s.properties"]
    stack.run("kafka-format", [*java, *format_it])
    stack.start("kafka", [*java, "kafka.Kafka", f"{home}/s.properties"])
    stack.listens("kafka", port)
    return port


class MariaDb:
    def __init__(self, stack, found):
        self.port, self.home, self.client = stack.ports[3], stack.home("mariadb"), found.client
        account = {}
        if os.geteuid() == 0:
            account = {"user": "mysql", "group": "mysql", "extra_groups": []}
            shutil.chown(self.home, "mysql", "mysql")
        stack.run("mariadb-install", [
            found.install, "--no-defaults", f"--datadir={self.home}/data", "--auth-root-authentication-method=normal",
            "--skip-test-db", "--skip-name-resolve"], account=account)
        self.socket = f"{self.home}/s.sock"
        stack.start("mariadb", [
            found.mariadbd, "--no-defaults", f"--datadir={self.home}/data", "--bind-address=127.0.0.1", f"--port={self.port}",
            f"--socket={self.socket}", f"--pid-file={self.home}/pid", "--server-id=1", f"--log-bin={self.home}/bin",
            "--binlog-format=ROW", "--binlog-row-metadata=FULL", "--skip-name-resolve", "--innodb-buffer-pool-size=32M",
            "--character-set-server=utf8mb4"], account=account)
        stack.listens("mariadb", self.port)
        self.ask(TABLES)

    def ask(self, sql, *more):
        # Its command line client strips comments unless it is told not to.
        client = [self.client, "--no-defaults", "-N", "-B", "-uroot", "--comments", f"--socket={self.socket}", *more]
        done = subprocess.run(client, input=sql, capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"{sql}: {done.stderr}")
        return done.stdout.strip()

    def transaction(self, sql):
        """Its GTID."""
        return self.ask(sql + "SELECT @@last_gtid;", "shop")


class Sink:
    """Where the collector hands what it received, as OTLP's JSON."""

    def __init__(self, stack):
        self.bodies = []
        bodies = self.bodies

        class Take(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Take)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.after.callback(server.shutdown)
        self.port = server.server_address[1]

    def spans(self):
        """In Zipkin's form; one that came twice, as after an answer that was lost, counts once."""
        spans = {}
        for body in list(self.bodies):
            for resource in json.loads(body).get("resourceSpans", []):
                of = {pair["key"]: plain(pair["value"]) for pair in resource["resource"].get("attributes", [])}
                for scope in resource.get("scopeSpans", []):
                    for span in scope["spans"]:
                        spans[span["traceId"], span["spanId"]] = zipkin_form(span, of.get("service.name", "?"))
        return list(spans.values())


def start_collector(stack, found, sink):
    port = stack.ports[4]
    exporter = f'endpoint: "http://127.0.0.1:{sink.port}", encoding: json, compression: none, sending_queue: {{ enabled: false }}'
    config = f"{stack.home('collector')}/otelcol.yaml"
    write(config, f'receivers: {{ otlp: {{ protocols: {{ grpc: {{ endpoint: "127.0.0.1:{port}" }} }} }} }}\n'
                  f"exporters: {{ otlp_http: {{ {exporter} }} }}\n"
                  "service: { telemetry: { metrics: { level: none } }, "
                  "pipelines: { traces: { receivers: [otlp], exporters: [otlp_http] } } }\n")
    stack.start("collector", [found.collector, "--config", config])
    stack.listens("collector", port)
    return port


def run_limpid(stack, found, server, broker, otlp, sink):
    """The GTIDs of the transactions, once the collector has what belongs to them and to the copy, and limpid has ended."""
    home = stack.home("limpid")
    write(f"{home}/shop.yaml", f"""\
name: shop
source:
  type: mysql
  url: mysql://127.0.0.1:{server.port}
  user: limpid
  password: limpid
  tables: ["shop.*"]
  snapshot: {{ mode: initial, chunk-rows: {CHUNK_ROWS} }}
sink:
  type: kafka
  brokers: ["127.0.0.1:{broker}"]
telemetry:
  traces: {{ otlp: "http://127.0.0.1:{otlp}", sample: 1 }}
""")
    listen = f"127.0.0.1:{stack.ports[5]}"
    stack.start("limpid", [found.limpid, "run", f"{home}/shop.yaml", "--data-dir", f"{home}/data", "--listen", listen])

    def tags(key):
        """Of roots, each with its rows."""
        return {span["tags"][key]: int(span["tags"]["limpid.rows"]) for span in sink.spans() if key in span["tags"]}

    stack.until("all chunks to be told of", lambda: sum(tags("limpid.chunk.id").values()) >= COPIED)
    gtids = {}
    for what, sql in TRANSACTIONS.items():
        gtids[what] = server.transaction(sql)
        stack.until(f"the transaction ({what}) to be told of", lambda: gtids[what] in tags("limpid.txn.id"))
    # What it still has to send is sent before it ends.
    stack.running["limpid"].terminate()
    stack.ended("limpid")
    return gtids


def take_picture(stack, found, page, spans, file):
    taken = f"{stack.home('browser')}/z.png"
    # Root's browser has no sandbox, and the page is our own. Without the others it asks hosts that are no business of ours.
    quiet = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-sync"]
    browser = [found.browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *quiet,
               f"--user-data-dir={stack.folder}/browser/profile", f"--window-size={WIDTH},{HEIGHT}", "--virtual-time-budget=8000"]
    stack.run("browser-text", [*browser, "--dump-dom", page])
    with open(stack.log("browser-text"), errors="replace") as log:
        text = log.read()
    # As it writes them in front of each bar.
    names = [f">{span['localEndpoint']['serviceName']}: {span['name']}<" for span in spans]
    absent = {name for name in names if text.count(name) < names.count(name)}
    if absent:
        raise Failed(f"the page {page} does not show {absent}")
    stack.run("browser", [*browser, f"--screenshot={taken}", page])
    size = os.path.getsize(taken)
    if size > BYTES_MAX:
        raise Failed(f"the picture has {size} bytes, more than {BYTES_MAX}")
    shutil.copyfile(taken, file)
    say(f"{os.path.normpath(file)}: {size} bytes")


# What it needs.


class Programs:
    """Where everything is; what is missing is fetched, or told."""

    def __init__(self, limpid, with_browser):
        self.cache = os.environ.get("LIMPID_CACHE") or os.path.expanduser("~/.cache/limpid")
        self.path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin"])
        self.limpid = os.path.abspath(limpid)
        if not os.access(self.limpid, os.X_OK):
            give_up(f"{limpid} is not a program")
        self.mariadbd = os.environ.get("LIMPID_MARIADBD") or self.find("mariadbd")
        self.client, self.install = self.find("mariadb"), self.find("mariadb-install-db")
        self.java_program = self.find("java")
        self.collector = os.environ.get("LIMPID_OTELCOL") or self.cached("otelcol-*/otelcol")
        self.kafka = self.cached("kafka-*/lib")
        self.zipkin = self.fetch_zipkin()
        self.browser = self.find_browser() if with_browser else None

    def java(self, heap):
        return [self.java_program, f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]

    def find(self, name):
        return shutil.which(name, path=self.path) or give_up(f"{name} is not here; scripts/setup.sh installs it")

    def cached(self, pattern):
        found = sorted(glob.glob(os.path.join(self.cache, pattern)))
        return found[-1] if found else give_up(f"{self.cache}/{pattern} is not here; scripts/setup.sh fetches it")

    def fetch_zipkin(self):
        home = os.path.join(self.cache, f"zipkin-{ZIPKIN}")
        jar = os.path.join(home, f"zipkin-server-{ZIPKIN}-slim.jar")
        if os.path.exists(jar):
            return jar
        say(f"fetching Zipkin {ZIPKIN} by Maven into {home}")
        os.makedirs(home, exist_ok=True)
        # Into a folder of its own first, so that half a file is never taken for a whole one.
        with tempfile.TemporaryDirectory(dir=home) as part:
            wanted = [f"-Dartifact=io.zipkin:zipkin-server:{ZIPKIN}:jar:slim", f"-DoutputDirectory={part}"]
            maven = [self.find("mvn"), "-q", "-B", "-Dstyle.color=never", "dependency:copy"]
            done = subprocess.run([*maven, *wanted], cwd=part)
            if done.returncode:
                give_up("Maven could not bring Zipkin")
            os.replace(os.path.join(part, os.path.basename(jar)), jar)
        return jar

    def find_browser(self):
        browser = shutil.which("chromium", path=self.path)
        if browser:
            return browser
        if not shutil.which("apt-get") or (os.geteuid() and not shutil.which("sudo")):
            give_up("chromium is not here; install it")
        say("installing chromium and fonts-dejavu-core by apt-get, since no chromium is here")
        apt = [*([] if os.geteuid() == 0 else ["sudo"]), "env", "DEBIAN_FRONTEND=noninteractive",
               "apt-get", "-o", "DPkg::Lock::Timeout=500", "-qq"]
        for step in (["update"], ["install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core"]):
            if subprocess.run([*apt, *step], stdout=subprocess.DEVNULL).returncode:
                give_up(f"apt-get {step[0]} failed")
        return self.find("chromium")


def ask(url, body=None, none=()):
    """The answer's text, or nothing where nobody answers or the status is in `none`."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    # Never through a proxy: it is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        if error.code in none:
            return None
        raise Failed(f"{url}: {error.code} {error.read().decode(errors='replace')[:500]}") from error
    except OSError:
        if none:
            return None
        raise


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def say(text):
    print(f"trace-picture: {text}", flush=True)


def give_up(text):
    say(text)
    sys.exit(2)


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        say(str(failed))
        sys.exit(1)
