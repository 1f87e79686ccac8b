import java.io.BufferedOutputStream;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Apache's command line tools in one JVM: to start one for each takes most of the time that a tool takes. It calls their
 * `main` and passes on what they write, and knows nothing of Kafka itself.
 *
 * <p>Told by lines of standard input: `run ID CLASS ARGUMENT...`, each argument in base64, and `end ID`, which does what a
 * SIGTERM would: it runs the tool's shutdown hooks. Answers on standard output: a line `out|err|ended ID LENGTH`, and so many
 * bytes; those of `ended` are the exit code. It leaves with its caller, when standard input ends.
 */
public final class ToolHost {
  private static final InheritableThreadLocal<Run> CURRENT = new InheritableThreadLocal<>();
  private static final Map<String, Run> RUNS = new ConcurrentHashMap<>();
  private static final PrintStream ANSWERS = System.out;

  public static void main(String[] arguments) throws IOException {
    PrintStream complaints = System.err;
    System.setOut(new PrintStream(new ByRun(false, OutputStream.nullOutputStream()), false, StandardCharsets.UTF_8));
    System.setErr(new PrintStream(new ByRun(true, complaints), true, StandardCharsets.UTF_8));
    Exit.setExitProcedure((code, message) -> {
      throw new Left(code);
    });
    Exit.setHaltProcedure((code, message) -> {
      throw new Left(code);
    });
    Exit.setShutdownHookAdder((name, hook) -> CURRENT.get().onEnd(hook));
    var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line; (line = lines.readLine()) != null; ) {
      String[] words = line.split(" ");
      Run begun = RUNS.get(words[1]);
      if (words[0].equals("run")) new Run(words).start();
      else if (begun != null) begun.end();
    }
    Runtime.getRuntime().halt(0);
  }

  private static void answer(String kind, String id, byte[] bytes, int offset, int length) {
    synchronized (ANSWERS) {
      byte[] head = (kind + " " + id + " " + length + "\n").getBytes(StandardCharsets.US_ASCII);
      ANSWERS.write(head, 0, head.length);
      ANSWERS.write(bytes, offset, length);
      ANSWERS.flush();
    }
  }

  /** One tool at work. */
  private static final class Run extends Thread {
    private final String id;
    private final String tool;
    private final String[] toolArguments;
    private final List<Runnable> hooks = new ArrayList<>();
    private boolean isAsked;
    private final OutputStream out = new BufferedOutputStream(new Answers("out"), 1 << 16);
    private final OutputStream err = new Answers("err");

    private Run(String[] words) {
      id = words[1];
      tool = words[2];
      toolArguments = Arrays.stream(words).skip(3)
          .map(word -> new String(Base64.getDecoder().decode(word), StandardCharsets.UTF_8))
          .toArray(String[]::new);
      setDaemon(true);
      RUNS.put(id, this);
    }

    @Override
    public void run() {
      CURRENT.set(this);
      byte[] code = String.valueOf(exitCode()).getBytes(StandardCharsets.US_ASCII);
      try {
        out.flush();
      } catch (IOException impossible) {
        throw new IllegalStateException(impossible);
      }
      RUNS.remove(id);
      answer("ended", id, code, 0, code.length);
    }

    private int exitCode() {
      try {
        Class.forName(tool).getMethod("main", String[].class).invoke(null, (Object) toolArguments);
        return 0;
      } catch (InvocationTargetException thrown) {
        if (thrown.getCause() instanceof Left left) return left.code;
        thrown.getCause().printStackTrace();
        return 1;
      } catch (ReflectiveOperationException missing) {
        missing.printStackTrace();
        return 1;
      }
    }

    private synchronized void onEnd(Runnable hook) {
      if (isAsked) start(hook);
      else hooks.add(hook);
    }

    private synchronized void end() {
      isAsked = true;
      hooks.forEach(this::start);
      hooks.clear();
    }

    /** A hook waits for the tool to be done: in a thread of its own, or nobody else could be told anything. */
    private void start(Runnable hook) {
      var thread = new Thread(hook);
      thread.setDaemon(true);
      thread.start();
    }

    private final class Answers extends OutputStream {
      private final String kind;

      private Answers(String kind) {
        this.kind = kind;
      }

      @Override
      public void write(int single) {
        write(new byte[] {(byte) single}, 0, 1);
      }

      @Override
      public void write(byte[] bytes, int offset, int length) {
        if (length > 0) answer(kind, id, bytes, offset, length);
      }
    }
  }

  /** What a thread writes goes to the run that it works for. */
  private static final class ByRun extends OutputStream {
    private final boolean isErr;
    private final OutputStream otherwise;

    private ByRun(boolean isErr, OutputStream otherwise) {
      this.isErr = isErr;
      this.otherwise = otherwise;
    }

    @Override
    public void write(int single) throws IOException {
      sink().write(single);
    }

    @Override
    public void write(byte[] bytes, int offset, int length) throws IOException {
      sink().write(bytes, offset, length);
    }

    private OutputStream sink() {
      Run run = CURRENT.get();
      return run == null ? otherwise : isErr ? run.err : run.out;
    }
  }

  /** In the place of System.exit. */
  private static final class Left extends RuntimeException {
    private final int code;

    private Left(int code) {
      super("exit " + code, null, false, false);
      this.code = code;
    }
  }
}
