import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * `WriteRecords BROKERS FILE TOPIC=COMPRESSION...`: writes the records of the file, one a line as record-lines.ts has
 * them, to partition 0 of each topic, with Apache's producer.
 */
public final class WriteRecords {
  public static void main(String[] arguments) throws Exception {
    List<String> lines = Files.readAllLines(Path.of(arguments[1]));
    for (int index = 2; index < arguments.length; index++) {
      String[] target = arguments[index].split("=");
      Map<String, Object> settings = Map.of(
          "bootstrap.servers", arguments[0],
          "compression.type", target[1],
          "linger.ms", 50, // large batches
          "batch.size", 512 * 1024,
          "max.request.size", 8 * 1024 * 1024);
      try (var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
        var sent = new ArrayList<java.util.concurrent.Future<?>>();
        for (String line : lines) sent.add(producer.send(record(target[0], line.split(" ", -1))));
        producer.flush();
        for (var each : sent) each.get();
      }
    }
  }

  private static ProducerRecord<byte[], byte[]> record(String topic, String[] fields) {
    List<Header> headers = new ArrayList<>();
    for (int index = 3; index < fields.length; index++) {
      String[] pair = fields[index].split("=", -1);
      headers.add(new RecordHeader(new String(bytes(pair[0]), StandardCharsets.UTF_8), bytes(pair[1])));
    }
    return new ProducerRecord<>(topic, 0, Long.parseLong(fields[0]), bytes(fields[1]), bytes(fields[2]), headers);
  }

  private static byte[] bytes(String hex) {
    return hex.equals("-") ? null : HexFormat.of().parseHex(hex);
  }
}
