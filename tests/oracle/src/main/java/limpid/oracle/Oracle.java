/**
 * Runs Debezium's own engine against a real server and writes what it makes of the log.
 *
 * <p>Owns: starting engines, one JSON line a record, rates for the bench. Does not own: servers and SQL
 * (record.sh), expectations (compare.rs).
 *
 * <p>Invariant: keys, values and headers are written as the converter's exact text, so that bytes can be compared.
 */
package limpid.oracle;

import com.sun.management.OperatingSystemMXBean;
import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import io.debezium.engine.Header;
import io.debezium.engine.format.Json;
import io.debezium.engine.format.KeyValueHeaderChangeEventFormat;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

public final class Oracle {
    private static final String USAGE = """
            oracle record  --connector mysql|mariadb --port P --work DIR --done DB.TABLE [--prefix NAME]
                           --run FILE[:key=value,key=value...] ...   one engine and one file of JSON lines each
            oracle prepare --connector C --port P --work DIR [--set key=value]...
                           keeps offsets and history of the present position in DIR
            oracle bench   --connector C --port P --work DIR --sink null|kafka --rows N [--warm-up N]
                           [--brokers B] [--set key=value]...        reads on from what `prepare` kept
            """;

    public static void main(String[] args) throws Exception {
        if (args.length == 0) {
            fail(USAGE);
        }
        Options options = Options.parse(args);
        switch (args[0]) {
            case "record" -> record(options);
            case "prepare" -> prepare(options);
            case "bench" -> bench(options);
            default -> fail(USAGE);
        }
        System.exit(0);
    }

    /** Starts one engine per file, says READY once all of them stream, ends when each has seen the last row. */
    private static void record(Options options) throws Exception {
        List<String> runs = options.all("run");
        CountDownLatch streaming = new CountDownLatch(runs.size());
        CountDownLatch done = new CountDownLatch(runs.size());
        List<DebeziumEngine<?>> engines = new ArrayList<>();
        ExecutorService pool = Executors.newCachedThreadPool();
        String lastTopic = options.get("prefix", "oracle") + "." + options.need("done");
        for (int index = 0; index < runs.size(); index++) {
            String[] run = runs.get(index).split(":", 2);
            Path work = Path.of(options.need("work"), "engine-" + index);
            Files.createDirectories(work);
            Properties properties = properties(options, work, 7000 + index);
            properties.setProperty("snapshot.mode", "no_data");
            properties.setProperty("include.schema.changes", "false");
            // Engines of one prefix would wait for each other's metrics.
            properties.setProperty("custom.metric.tags", "run=" + index);
            if (run.length > 1) {
                set(properties, List.of(run[1].split(",(?=[a-z.]+=)")));
            }
            PrintStream out = new PrintStream(Files.newOutputStream(Path.of(run[0])), false, StandardCharsets.UTF_8);
            CountDownLatch mine = new CountDownLatch(1);
            DebeziumEngine<?> engine = engine(properties, streaming, (events, committer) -> {
                for (ChangeEvent<String, String> event : events) {
                    if (event.destination().equals(lastTopic)) {
                        if (mine.getCount() > 0) {
                            out.flush();
                            mine.countDown();
                            done.countDown();
                        }
                    } else {
                        writeLine(out, event);
                    }
                    committer.markProcessed(event);
                }
                committer.markBatchFinished();
            });
            engines.add(engine);
            pool.execute(engine);
        }
        if (!streaming.await(120, TimeUnit.SECONDS)) {
            fail("an engine did not begin to stream");
        }
        // The callback comes when polling begins; the log reader connects a moment later, from a stored position.
        Thread.sleep(4000);
        System.out.println("READY");
        boolean whole = done.await(options.number("timeout", 120), TimeUnit.SECONDS);
        for (DebeziumEngine<?> engine : engines) {
            engine.close();
        }
        if (!whole) {
            fail("the last row was not seen by every engine");
        }
    }

    private static void prepare(Options options) throws Exception {
        Properties properties = properties(options, Path.of(options.need("work")), 7100);
        properties.setProperty("snapshot.mode", "no_data");
        set(properties, options.all("set"));
        CountDownLatch streaming = new CountDownLatch(1);
        DebeziumEngine<?> engine = engine(properties, streaming, (events, committer) -> {
            for (ChangeEvent<String, String> event : events) {
                committer.markProcessed(event);
            }
            committer.markBatchFinished();
        });
        Executors.newSingleThreadExecutor().execute(engine);
        if (!streaming.await(120, TimeUnit.SECONDS)) {
            fail("the engine did not begin to stream");
        }
        boolean isKept = isQuiet(Path.of(properties.getProperty("offset.storage.file.filename")));
        engine.close();
        if (!isKept) {
            fail("no offset was kept: capture a table that exists, so that its definition is a record");
        }
    }

    /** The definitions come as a few records, each with an offset: true once the last of them is kept. */
    private static boolean isQuiet(Path offsets) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (System.nanoTime() < deadline) {
            Thread.sleep(1000);
            if (Files.exists(offsets)
                    && System.currentTimeMillis() - Files.getLastModifiedTime(offsets).toMillis() > 4000) {
                return true;
            }
        }
        return false;
    }

    private static void bench(Options options) throws Exception {
        Properties properties = properties(options, Path.of(options.need("work")), 7100);
        properties.setProperty("snapshot.mode", "no_data");
        set(properties, options.all("set"));
        long rows = Long.parseLong(options.need("rows"));
        long warmUp = options.number("warm-up", rows / 5);
        KafkaProducer<String, String> producer = producer(options);
        CountDownLatch done = new CountDownLatch(1);
        long[] state = {0, 0, 0};
        DebeziumEngine<?> engine = engine(properties, new CountDownLatch(1), (events, committer) -> {
            for (ChangeEvent<String, String> event : events) {
                if (producer != null) {
                    producer.send(new ProducerRecord<>(event.destination(), event.key(), event.value()));
                }
                committer.markProcessed(event);
            }
            committer.markBatchFinished();
            boolean warm = state[0] >= warmUp;
            state[0] += events.size();
            if (!warm && state[0] >= warmUp) {
                state[1] = System.nanoTime();
                state[2] = cpuNanos();
                warmUpEnd = state[0];
            }
            if (state[0] >= rows && done.getCount() > 0) {
                if (producer != null) {
                    producer.flush();
                }
                double seconds = (System.nanoTime() - state[1]) / 1e9;
                long counted = state[0] - warmUpEnd;
                double cpu = (cpuNanos() - state[2]) / 1e9;
                System.out.printf(
                        "{\"all\":%d,\"records\":%d,\"seconds\":%.3f,\"cpu_seconds\":%.3f}%n",
                        state[0], counted, seconds, cpu);
                done.countDown();
            }
        });
        Executors.newSingleThreadExecutor().execute(engine);
        if (!done.await(options.number("timeout", 600), TimeUnit.SECONDS)) {
            fail("only " + state[0] + " of " + rows + " rows were seen");
        }
        engine.close();
    }

    private static long warmUpEnd;

    /** Of all threads so far, the compiler's and the collector's too. */
    private static long cpuNanos() {
        return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    private static KafkaProducer<String, String> producer(Options options) {
        if (options.get("sink", "null").equals("null")) {
            return null;
        }
        Properties properties = new Properties();
        properties.setProperty("bootstrap.servers", options.get("brokers", "127.0.0.1:9092"));
        properties.setProperty("compression.type", "lz4");
        properties.setProperty("linger.ms", "5");
        return new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer());
    }

    private static DebeziumEngine<ChangeEvent<String, String>> engine(
            Properties properties,
            CountDownLatch streaming,
            DebeziumEngine.ChangeConsumer<ChangeEvent<String, String>> consumer) {
        return DebeziumEngine.create(KeyValueHeaderChangeEventFormat.of(Json.class, Json.class, Json.class))
                .using(properties)
                .using(new DebeziumEngine.ConnectorCallback() {
                    @Override
                    public void pollingStarted() {
                        streaming.countDown();
                    }
                })
                .using((success, message, error) -> {
                    if (!success) {
                        if (error != null) {
                            error.printStackTrace();
                        }
                        fail("engine ended: " + message);
                    }
                })
                .notifying(consumer)
                .build();
    }

    private static Properties properties(Options options, Path work, int serverId) throws IOException {
        Files.createDirectories(work);
        String connector = options.need("connector");
        Properties properties = new Properties();
        properties.setProperty("name", "oracle");
        properties.setProperty("connector.class", connector.equals("mariadb")
                ? "io.debezium.connector.mariadb.MariaDbConnector"
                : "io.debezium.connector.mysql.MySqlConnector");
        properties.setProperty("database.hostname", "127.0.0.1");
        properties.setProperty("database.port", options.need("port"));
        properties.setProperty("database.user", options.get("user", "root"));
        properties.setProperty("database.password", options.get("password", ""));
        properties.setProperty("database.ssl.mode", connector.equals("mariadb") ? "disable" : "disabled");
        properties.setProperty("database.server.id", String.valueOf(serverId));
        properties.setProperty("topic.prefix", options.get("prefix", "oracle"));
        properties.setProperty("offset.storage", "org.apache.kafka.connect.storage.FileOffsetBackingStore");
        properties.setProperty("offset.storage.file.filename", work.resolve("offsets").toString());
        properties.setProperty("offset.flush.interval.ms", "0");
        properties.setProperty("schema.history.internal", "io.debezium.storage.file.history.FileSchemaHistory");
        properties.setProperty("schema.history.internal.file.filename", work.resolve("history").toString());
        properties.setProperty("poll.interval.ms", "10");
        for (String part : List.of("key", "value", "header")) {
            properties.setProperty(part + ".converter.schemas.enable", "false");
        }
        properties.setProperty("converter.schemas.enable", "false");
        if (options.get("tables", null) != null) {
            properties.setProperty("table.include.list", options.need("tables"));
        }
        return properties;
    }

    private static void set(Properties properties, List<String> pairs) {
        for (String pair : pairs) {
            String[] parts = pair.split("=", 2);
            properties.setProperty(parts[0], parts[1]);
        }
    }

    private static void writeLine(PrintStream out, ChangeEvent<String, String> event) {
        StringBuilder line = new StringBuilder("{\"topic\":");
        quote(line, event.destination());
        line.append(",\"key\":");
        quote(line, event.key());
        line.append(",\"value\":");
        quote(line, event.value());
        line.append(",\"headers\":[");
        String comma = "";
        for (Header<?> header : event.headers()) {
            line.append(comma).append('[');
            quote(line, header.getKey());
            line.append(',');
            Object value = header.getValue();
            quote(line, value == null ? null : value.toString());
            line.append(']');
            comma = ",";
        }
        out.println(line.append("]}"));
    }

    private static void quote(StringBuilder line, String text) {
        if (text == null) {
            line.append("null");
            return;
        }
        line.append('"');
        for (int at = 0; at < text.length(); at++) {
            char c = text.charAt(at);
            if (c == '"' || c == '\\') {
                line.append('\\').append(c);
            } else if (c < 0x20) {
                line.append(String.format("\\u%04x", (int) c));
            } else {
                line.append(c);
            }
        }
        line.append('"');
    }

    private static void fail(String message) {
        System.err.println(message);
        Runtime.getRuntime().halt(1);
    }

    /** Names with their values, in order; a name may come more than once. */
    private static final class Options {
        private final Map<String, List<String>> values = new LinkedHashMap<>();

        static Options parse(String[] args) {
            Options options = new Options();
            for (int index = 1; index + 1 < args.length; index += 2) {
                options.values.computeIfAbsent(args[index].substring(2), name -> new ArrayList<>()).add(args[index + 1]);
            }
            return options;
        }

        List<String> all(String name) {
            return values.getOrDefault(name, List.of());
        }

        String get(String name, String otherwise) {
            return all(name).isEmpty() ? otherwise : all(name).get(0);
        }

        String need(String name) {
            if (all(name).isEmpty()) {
                fail("--" + name + " is missing\n" + USAGE);
            }
            return all(name).get(0);
        }

        long number(String name, long otherwise) {
            return all(name).isEmpty() ? otherwise : Long.parseLong(need(name));
        }
    }
}
