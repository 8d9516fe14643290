import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;

/** Submits a job that does not end by itself; all its classes are Flink's own. Arguments: port, name. */
public class Endless {
  public static void main(String[] given) throws Exception {
    var flink = StreamExecutionEnvironment.createRemoteEnvironment("localhost", Integer.parseInt(given[0]));
    flink.setParallelism(1);
    flink.fromSequence(0, Long.MAX_VALUE).sinkTo(new DiscardingSink<>());
    flink.executeAsync(given[1]);
  }
}
