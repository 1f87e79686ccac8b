import java.io.BufferedOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * `ReadRecords BROKERS TOPIC...`: what Apache's consumer reads in partition 0 of each topic, read_committed, from the
 * beginning to the end: the topic, the type of timestamp, and the record as record-lines.ts writes it.
 */
public final class ReadRecords {
  private static final long DEADLINE_NANOS = Duration.ofMinutes(2).toNanos();

  public static void main(String[] arguments) {
    List<TopicPartition> partitions =
        Arrays.stream(arguments).skip(1).map(topic -> new TopicPartition(topic, 0)).toList();
    Map<TopicPartition, Long> ends;
    // The ends as read_uncommitted sees them: a reader that has passed them has seen every transaction decided.
    try (var consumer = consumer(arguments[0], "read_uncommitted")) {
      ends = consumer.endOffsets(partitions);
    }
    long startedNanos = System.nanoTime();
    try (var consumer = consumer(arguments[0], "read_committed");
        var out = new PrintStream(new BufferedOutputStream(System.out, 1 << 16), false, StandardCharsets.UTF_8)) {
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      while (partitions.stream().anyMatch(partition -> consumer.position(partition) < ends.get(partition))) {
        if (System.nanoTime() - startedNanos > DEADLINE_NANOS)
          throw new IllegalStateException("a transaction stays open, or the topics cannot be read in time");
        for (var record : consumer.poll(Duration.ofMillis(100))) out.println(line(record));
      }
    }
  }

  private static String line(ConsumerRecord<byte[], byte[]> record) {
    var line = new StringBuilder()
        .append(record.topic()).append(' ').append(record.timestampType())
        .append(' ').append(record.timestamp())
        .append(' ').append(hex(record.key()))
        .append(' ').append(hex(record.value()));
    for (var header : record.headers())
      line.append(' ').append(hex(header.key().getBytes(StandardCharsets.UTF_8))).append('=').append(hex(header.value()));
    return line.toString();
  }

  private static String hex(byte[] bytes) {
    return bytes == null ? "-" : HexFormat.of().formatHex(bytes);
  }

  private static KafkaConsumer<byte[], byte[]> consumer(String brokers, String isolation) {
    Map<String, Object> settings =
        Map.of("bootstrap.servers", brokers, "isolation.level", isolation, "max.poll.records", 10_000);
    return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }
}
