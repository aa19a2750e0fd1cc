import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.time.Instant;
import java.util.UUID;

/** Sends two events to Daybook and reads them back. */
public final class Send {
    private static final String URL = System.getenv("AUDIT_URL");
    private static final int ATTEMPTS = 10;
    private static final HttpClient CLIENT = HttpClient.newHttpClient();

    /** An event in the form of CloudEvents 1.0. Its id stays the same however often it is sent. */
    private static String event(String kind, String subject, String outcome) {
        return """
            {"specversion": "1.0", "id": "%s", "source": "/examples/java", "type": "%s",
             "subject": "%s", "time": "%s", "actor": "alice", "data": {"outcome": "%s"}}"""
            .formatted(UUID.randomUUID(), kind, subject, Instant.now(), outcome);
    }

    /** Sends events until they are recorded; returns the body of the response. */
    private static String send(String events) throws InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(URI.create(URL + "/intake/apps"))
            .timeout(Duration.ofMinutes(1))
            .header("Authorization", "Bearer " + System.getenv("AUDIT_SOURCE_TOKEN"))
            .header("Content-Type", "application/cloudevents-batch+json")
            .POST(BodyPublishers.ofString(events))
            .build();
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            long waitSeconds = Math.min(1L << attempt, 30);
            try {
                HttpResponse<String> response = CLIENT.send(request, BodyHandlers.ofString());
                int status = response.statusCode();
                if (status == 200) {
                    return response.body();
                }
                if (status != 408 && status != 503) {
                    String why = "refused with " + status + ": " + response.body();
                    throw new IllegalStateException(why);
                }
                waitSeconds =
                    response.headers().firstValueAsLong("Retry-After").orElse(waitSeconds);
            } catch (IOException error) {
                System.err.println("no answer (" + error + "); trying again");
            }
            Thread.sleep(Duration.ofSeconds(waitSeconds).toMillis());
        }
        throw new IllegalStateException("not recorded after " + ATTEMPTS + " attempts");
    }

    /** Returns the newest events that match, as JSON. */
    private static String read(String search) throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(URI.create(URL + "/api/v1/events?" + search))
            .timeout(Duration.ofMinutes(1))
            .header("X-Auth-Token", System.getenv("AUDIT_TOKEN"))
            .build();
        return CLIENT.send(request, BodyHandlers.ofString()).body();
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        String updated = event("com.example.invoice.updated", "invoices/17", "success");
        String deleted = event("com.example.invoice.deleted", "invoices/17", "denied");
        System.out.println(send("[" + updated + "," + deleted + "]"));
        System.out.println(read("instance=apps&actor=alice&limit=2"));
    }
}
