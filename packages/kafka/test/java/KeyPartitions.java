import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.utils.Utils;

/**
 * `KeyPartitions FILE`: for each line `KEY PARTITIONS`, the key in hex, what Java's murmur2 makes of it and the partition
 * that Java's producer chooses.
 */
public final class KeyPartitions {
  public static void main(String[] arguments) throws IOException {
    var out = new StringBuilder();
    for (String line : Files.readAllLines(Path.of(arguments[0]))) {
      String[] fields = line.split(" ", -1);
      byte[] key = HexFormat.of().parseHex(fields[0]);
      int partition = BuiltInPartitioner.partitionForKey(key, Integer.parseInt(fields[1]));
      out.append(Utils.murmur2(key)).append(' ').append(partition).append('\n');
    }
    System.out.print(out);
  }
}
