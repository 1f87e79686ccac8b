import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The session benchmark's transactions with Apache's own producer; what is sent is that of sample-event.ts. */
public final class TransactionalDrain {
  private record SampleEvent(byte[] key, byte[] value, String id, String time) {}

  private static final int SAMPLES = 10_000;
  private static final int KEYS = 1_000;
  private static final int VALUE_BYTES = 256;

  private static final Header SPEC_VERSION = header("ce_specversion", "1.0");
  private static final Header TYPE = header("ce_type", "bench.happened");
  private static final Header SOURCE = header("ce_source", "bench");
  private static final Header CONTENT_TYPE = header("content-type", "application/json");

  public static void main(String[] arguments) throws Exception {
    List<SampleEvent> samples = IntStream.range(0, SAMPLES).mapToObj(TransactionalDrain::sample).toList();
    String topic = passed("BENCH_TOPIC");
    int events = Integer.parseInt(passed("BENCH_EVENTS"));
    int warmUpEvents = Integer.parseInt(passed("BENCH_WARM_UP_EVENTS"));
    int eventsPerTransaction = Integer.parseInt(passed("BENCH_EVENTS_PER_TRANSACTION"));
    // What is not set is Java's default, as five requests in flight.
    Map<String, Object> settings = Map.of(
        "bootstrap.servers", passed("BENCH_BROKERS"),
        "transactional.id", passed("BENCH_NAME"),
        "enable.idempotence", true,
        "acks", "all",
        "compression.type", passed("BENCH_COMPRESSION"),
        "linger.ms", 5,
        "batch.size", 256 * 1024,
        "buffer.memory", 64L * 1024 * 1024);
    try (var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
      producer.initTransactions();
      send(producer, topic, samples, warmUpEvents, eventsPerTransaction);
      long startedNanos = System.nanoTime();
      long startedCpuNanos = cpuNanos();
      send(producer, topic, samples, events, eventsPerTransaction);
      System.out.printf(
          Locale.ROOT,
          "{\"events\":%d,\"seconds\":%.6f,\"cpuSeconds\":%.6f,\"rssMb\":%.1f}%n",
          events,
          (System.nanoTime() - startedNanos) / 1e9,
          (cpuNanos() - startedCpuNanos) / 1e9,
          rssMb());
    }
  }

  private static void send(
      KafkaProducer<byte[], byte[]> producer, String topic, List<SampleEvent> samples, int events, int size) {
    for (int sent = 0; sent < events; sent += size) {
      producer.beginTransaction();
      for (int index = sent; index < sent + size; index++) {
        SampleEvent event = samples.get(index % SAMPLES);
        producer.send(new ProducerRecord<>(topic, null, event.key(), event.value(), headers(event)));
      }
      producer.commitTransaction(); // throws when a single send failed
    }
  }

  private static List<Header> headers(SampleEvent event) {
    return List.of(
        SPEC_VERSION, TYPE, SOURCE, CONTENT_TYPE, header("ce_id", event.id()), header("ce_time", event.time()));
  }

  private static SampleEvent sample(int number) {
    return new SampleEvent(
        bytes("key-" + number % KEYS),
        bytes(orderText(number)),
        randomId("event " + number),
        timeOf(number));
  }

  private static String timeOf(int number) {
    return String.format(Locale.ROOT, "2026-01-01T00:00:0%d.%03dZ", number / 1000, number % 1000);
  }

  private static String orderText(int number) {
    String dice = hashOf("order " + number);
    StringBuilder value = new StringBuilder()
        .append("{\"orderId\":\"").append(randomId("order " + number))
        .append("\",\"customerId\":\"").append(randomId("customer " + number % KEYS))
        .append("\",\"placedAt\":\"").append(timeOf(number))
        .append("\",\"currency\":\"EUR\",\"totalCents\":").append(roll(dice, 0))
        .append(",\"items\":[{\"sku\":\"sku-").append(roll(dice, 4))
        .append("\",\"quantity\":").append(1 + roll(dice, 8) % 9)
        .append(",\"unitCents\":").append(roll(dice, 12)).append("}],\"note\":\"");
    while (value.length() < VALUE_BYTES - 2) value.append('.');
    return value + "\"}";
  }

  private static int roll(String dice, int at) {
    return Integer.parseInt(dice.substring(at, at + 4), 16);
  }

  private static String randomId(String seed) {
    return hashOf(seed).replaceFirst("^(.{8})(.{4})(.{4})(.{4})(.{12}).*$", "$1-$2-$3-$4-$5");
  }

  private static String hashOf(String seed) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes(seed)));
    } catch (NoSuchAlgorithmException absent) {
      throw new IllegalStateException(absent); // every Java has it
    }
  }

  private static Header header(String name, String value) {
    return new RecordHeader(name, bytes(value));
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static long cpuNanos() {
    return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
  }

  /** Linux only; 0 elsewhere. */
  private static double rssMb() throws Exception {
    Path status = Path.of("/proc/self/status");
    if (!Files.exists(status)) return 0;
    return Files.readAllLines(status).stream()
        .filter(line -> line.startsWith("VmRSS:"))
        .mapToDouble(line -> Double.parseDouble(line.replaceAll("\\D", "")) / 1024)
        .sum();
  }

  private static String passed(String name) {
    String value = System.getenv(name);
    if (value == null) throw new IllegalStateException(name + " is not set: drains are started by pnpm bench");
    return value;
  }
}
