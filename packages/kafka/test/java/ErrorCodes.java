import org.apache.kafka.common.errors.ApplicationRecoverableException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.RefreshRetriableException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.errors.TransactionAbortableException;
import org.apache.kafka.common.protocol.Errors;

/** Prints every error code that Apache's client knows, its name, and its class after KIP-1050. */
public final class ErrorCodes {
    public static void main(String[] arguments) {
        for (Errors error : Errors.values()) {
            System.out.println(error.code() + " " + error.name() + " " + classOf(error));
        }
    }

    private static String classOf(Errors error) {
        RuntimeException exception = error.exception();
        if (exception instanceof RefreshRetriableException) return "refresh-retriable";
        if (exception instanceof RetriableException) return "retriable";
        if (exception instanceof TransactionAbortableException) return "abortable";
        if (exception instanceof ApplicationRecoverableException) return "application-recoverable";
        if (exception instanceof InvalidConfigurationException) return "invalid-configuration";
        return "fatal";
    }
}
