import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashSet;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Hand a message in, wait until customs has decided, acknowledge. Java 17, nothing else; with Jackson or Gson the
 * expressions below become field accesses.
 *
 * Usage: GATEWAY_URL=http://127.0.0.1:8080 GATEWAY_TOKEN_FILE=demo.token java Submit.java payment.xml
 */
public final class Submit {
    private static final String URL = System.getenv("GATEWAY_URL");
    private static final int ATTEMPTS = 8;
    private static final Pattern KEY = Pattern.compile("\"key\":(\\{[^{}]*\\})");
    private static final Pattern ANSWER = Pattern.compile(
        "\\{\"message_type\":\"(\\w+)\",\"layer\":\"\\w+\",\"status\":\"([^\"]*)\",\"meaning\":\\{\"kind\":\"(\\w+)\","
        + "\"zh\":\"([^\"]*)\".*?\"declarations\":\\[(.*?)\\],\"fields\"", Pattern.DOTALL);

    private static final HttpClient CLIENT = HttpClient.newBuilder()
        .version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(10)).build();
    private static String token;

    public static void main(String[] args) throws Exception {
        token = Files.readString(Path.of(System.getenv("GATEWAY_TOKEN_FILE"))).strip();
        byte[] body = Files.readAllBytes(Path.of(args[0])); // the bytes as they are: never read and written anew
        ask("/v1/messages?dry_run=true", body, "application/xml");
        String message = ask("/v1/messages", body, "application/xml");
        String id = first(message, "\"id\":\"([^\"]+)\"");
        System.out.println("accepted: " + id);
        Set<String> waiting = keys(message);
        while (!waiting.isEmpty()) {
            String page = ask("/v1/receipts?wait=30", null, null);
            Matcher answer = ANSWER.matcher(page); // store the page durably on your side, then acknowledge
            while (answer.find()) {
                System.out.println(String.join(" ", answer.group(1), answer.group(2), answer.group(3), answer.group(4)));
                if (Set.of("accepted", "refused", "final").contains(answer.group(3))) {
                    waiting.removeAll(keys(answer.group(5)));
                }
            }
            String cursor = first(page, "\"cursor\":(\\d+)\\}$");
            ask("/v1/receipts/ack", ("{\"cursor\": " + cursor + "}").getBytes(), "application/json");
        }
        System.out.println("decided: " + id);
    }

    /** One request. Sent again after 429 and 503 as the gateway asks, and after no answer: that is always safe. */
    private static String ask(String path, byte[] body, String contentType) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(URL + path))
            .timeout(Duration.ofSeconds(90)).header("Authorization", "Bearer " + token);
        if (body != null) {
            request.header("Content-Type", contentType).POST(HttpRequest.BodyPublishers.ofByteArray(body));
        }
        for (int attempt = 1; ; attempt++) {
            try {
                HttpResponse<String> answer = CLIENT.send(request.build(), HttpResponse.BodyHandlers.ofString());
                int status = answer.statusCode();
                if (status < 300) {
                    return answer.body();
                }
                if ((status != 429 && status != 503) || attempt == ATTEMPTS) {
                    System.err.println("refused: " + answer.body()); // a problem document: code, titles, faults
                    System.exit(1);
                }
                Thread.sleep(1000 * Math.min(60, Long.parseLong(answer.headers().firstValue("Retry-After").orElse("1"))));
            } catch (java.io.IOException lost) {
                if (attempt == ATTEMPTS) {
                    throw lost;
                }
                Thread.sleep(100L << attempt);
            }
        }
    }

    private static Set<String> keys(String json) {
        Set<String> found = new HashSet<>();
        Matcher key = KEY.matcher(json);
        while (key.find()) {
            found.add(key.group(1));
        }
        return found;
    }

    private static String first(String json, String expression) {
        Matcher found = Pattern.compile(expression).matcher(json);
        if (!found.find()) {
            throw new IllegalStateException("not an answer of the gateway: " + json);
        }
        return found.group(1);
    }
}
