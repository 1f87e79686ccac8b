import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * `CommittedCount BROKERS TOPIC...`: how many records of each topic Apache's consumer reads, read_committed, and a sum
 * over their keys, values and headers that does not depend on their order.
 */
public final class CommittedCount {
  private record Seen(long records, long sum) {
    Seen and(ConsumerRecord<byte[], byte[]> record) {
      var crc = new CRC32();
      crc.update(record.key());
      crc.update(record.value());
      for (var header : record.headers()) {
        crc.update(header.key().getBytes(StandardCharsets.UTF_8));
        crc.update(header.value());
      }
      return new Seen(records + 1, sum + crc.getValue());
    }
  }

  private static final long DEADLINE_NANOS = Duration.ofMinutes(3).toNanos();

  public static void main(String[] arguments) {
    List<String> topics = Arrays.asList(arguments).subList(1, arguments.length);
    List<TopicPartition> partitions;
    Map<TopicPartition, Long> ends;
    // The ends as read_uncommitted sees them: a reader that has passed them has seen every transaction decided.
    try (var consumer = consumer(arguments[0], "read_uncommitted")) {
      partitions = topics.stream()
          .flatMap(topic -> consumer.partitionsFor(topic).stream())
          .map(found -> new TopicPartition(found.topic(), found.partition()))
          .toList();
      ends = consumer.endOffsets(partitions);
    }
    Map<String, Seen> seen = new LinkedHashMap<>();
    for (String topic : topics) seen.put(topic, new Seen(0, 0));
    long startedNanos = System.nanoTime();
    try (var consumer = consumer(arguments[0], "read_committed")) {
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      while (partitions.stream().anyMatch(partition -> consumer.position(partition) < ends.get(partition))) {
        if (System.nanoTime() - startedNanos > DEADLINE_NANOS)
          throw new IllegalStateException("a transaction stays open, or the topics cannot be read in time");
        for (var record : consumer.poll(Duration.ofMillis(100)))
          seen.computeIfPresent(record.topic(), (topic, sofar) -> sofar.and(record));
      }
    }
    seen.forEach((topic, all) -> System.out.println(topic + " " + all.records() + " " + all.sum()));
  }

  private static KafkaConsumer<byte[], byte[]> consumer(String brokers, String isolation) {
    Map<String, Object> settings =
        Map.of("bootstrap.servers", brokers, "isolation.level", isolation, "max.poll.records", 10_000);
    return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }
}
