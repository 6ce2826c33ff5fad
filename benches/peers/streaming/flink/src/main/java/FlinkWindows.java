import java.lang.management.ManagementFactory;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.types.Row;
import org.apache.flink.util.CloseableIterator;

/** JSON lines of a folder to hourly windows by event time, deduplicated: FlinkWindows FOLDER [WARM-UP FOLDER]. */
public final class FlinkWindows {
    private static final String EVENTS = """
        CREATE TABLE events (
            event_time TIMESTAMP_LTZ(3), event_type STRING, product_id BIGINT, brand STRING, price DOUBLE,
            user_id BIGINT, user_session STRING,
            WATERMARK FOR event_time AS event_time - INTERVAL '10' MINUTE
        ) WITH ('connector' = 'filesystem', 'path' = '%s', 'format' = 'json',
                'json.timestamp-format.standard' = 'ISO-8601')""";

    private static final String WINDOWS = """
        SELECT window_start, brand,
            SUM(CASE WHEN event_type = 'view' THEN 1 ELSE 0 END) AS view_count,
            SUM(CASE WHEN event_type = 'cart' THEN 1 ELSE 0 END) AS cart_count,
            SUM(CASE WHEN event_type = 'purchase' THEN 1 ELSE 0 END) AS purchase_count,
            SUM(CASE WHEN event_type = 'purchase' THEN price ELSE 0 END) AS revenue
        FROM (
            SELECT *, ROW_NUMBER() OVER (
                PARTITION BY window_start, window_end, event_time, event_type, product_id, user_id, user_session
                ORDER BY event_time ASC) AS n
            FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(event_time), INTERVAL '1' HOUR))
        ) WHERE n = 1
        GROUP BY window_start, window_end, brand""";

    private FlinkWindows() {}

    public static void main(String[] args) throws Exception {
        if (args.length > 1) {
            run(args[1]);
        }
        double before = processorSeconds();
        long[] found = run(args[0]);
        System.out.printf("{\"seconds\": %.3f, \"rows\": %d, \"counted\": %d}%n",
            processorSeconds() - before, found[0], found[1]);
    }

    /** Rows, and the events in them. */
    private static long[] run(String folder) throws Exception {
        Configuration settings = new Configuration();
        settings.setString("parallelism.default", "1");
        settings.setString("table.local-time-zone", "UTC");
        settings.setString("table.exec.mini-batch.enabled", "false");
        TableEnvironment tables = TableEnvironment.create(
            EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(settings).build());
        tables.executeSql(String.format(EVENTS, folder));
        long rows = 0;
        long events = 0;
        try (CloseableIterator<Row> windows = tables.executeSql(WINDOWS).collect()) {
            while (windows.hasNext()) {
                Row row = windows.next();
                rows++;
                for (int column = 2; column < 5; column++) {
                    events += ((Number) row.getField(column)).longValue();
                }
            }
        }
        return new long[] {rows, events};
    }

    private static double processorSeconds() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
            .getProcessCpuTime() / 1e9;
    }
}
