package dev.signoff;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodySubscriber;
import java.net.http.HttpResponse.BodySubscribers;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import javax.net.ssl.SSLContext;

/** HTTP and HTTPS by the client of the JDK. */
final class HttpTransport implements Transport {
    private static final Duration CONNECT_TIME_MAX = Duration.ofSeconds(10);

    private final HttpClient http;
    private final Address address;
    private final Headers headers;

    HttpTransport(Address address, Headers headers, SSLContext trust) {
        this.address = address;
        this.headers = headers;
        HttpClient.Builder builder = HttpClient.newBuilder()
                .version(HttpClient.Version.HTTP_1_1)
                .followRedirects(HttpClient.Redirect.NEVER)
                .connectTimeout(CONNECT_TIME_MAX);
        if (trust != null) {
            builder.sslContext(trust);
        }
        if (address.isLoopback()) {
            // A proxy has another loopback, and would see the token.
            builder.proxy(HttpClient.Builder.NO_PROXY);
        }
        http = builder.build();
    }

    @Override
    public Answer send(Call call, Duration limit) throws IOException, TimeoutException, InterruptedException {
        return answer(exchange(request(call).build(), limited(), limit));
    }

    @Override
    public InputStream open(Call call, String after, Duration limit)
            throws IOException, TimeoutException, InterruptedException {
        HttpRequest.Builder request = request(call).setHeader("Accept", "text/event-stream");
        if (after != null) {
            request.header("Last-Event-ID", after);
        }
        HttpResponse<Opened> opened = exchange(request.build(), info -> info.statusCode() == 200
                ? BodySubscribers.mapping(BodySubscribers.ofInputStream(), stream -> new Opened(stream, null))
                : BodySubscribers.mapping(limited().apply(info), text -> new Opened(null, text)), limit);
        if (opened.body().stream() == null) {
            throw new Refused(answer(opened, opened.body().text()));
        }
        return opened.body().stream();
    }

    /** The body of an answer to a request for a stream: a stream, or the text of a refusal. */
    private record Opened(InputStream stream, byte[] text) {}

    private static HttpResponse.BodyHandler<byte[]> limited() {
        return info -> new LimitedBody(BodySubscribers.ofByteArray());
    }

    private static Answer answer(HttpResponse<byte[]> response) {
        return answer(response, response.body());
    }

    private static Answer answer(HttpResponse<?> response, byte[] body) {
        return new Answer(response.statusCode(), response.headers().firstValue("X-Request-Id").orElse(null),
                response.headers().firstValue("Retry-After").orElse(null), body);
    }

    private <T> HttpResponse<T> exchange(HttpRequest request, HttpResponse.BodyHandler<T> body, Duration limit)
            throws IOException, TimeoutException, InterruptedException {
        CompletableFuture<HttpResponse<T>> sent = http.sendAsync(request, body);
        try {
            return sent.get(limit.toNanos(), TimeUnit.NANOSECONDS);
        } catch (ExecutionException e) {
            throw e.getCause() instanceof IOException io ? io : new IOException(e.getCause());
        } finally {
            // Closes the connection if the answer is not complete.
            sent.cancel(true);
        }
    }

    private HttpRequest.Builder request(Call call) {
        HttpRequest.BodyPublisher body = call.body() == null
                ? HttpRequest.BodyPublishers.noBody()
                : HttpRequest.BodyPublishers.ofString(call.body());
        HttpRequest.Builder request =
                HttpRequest.newBuilder(URI.create(address.base() + call.target())).method(call.method(), body);
        headers.of(call).forEach(request::header);
        return request;
    }

    /** Collects a body, and fails once it is too large. */
    private static final class LimitedBody implements BodySubscriber<byte[]> {
        private final BodySubscriber<byte[]> whole;
        private Flow.Subscription subscription;
        private long received;

        LimitedBody(BodySubscriber<byte[]> whole) {
            this.whole = whole;
        }

        @Override
        public CompletionStage<byte[]> getBody() {
            return whole.getBody();
        }

        @Override
        public void onSubscribe(Flow.Subscription given) {
            subscription = given;
            whole.onSubscribe(given);
        }

        @Override
        public void onNext(List<ByteBuffer> buffers) {
            for (ByteBuffer buffer : buffers) {
                received += buffer.remaining();
            }
            if (received > ANSWER_BYTES_MAX) {
                subscription.cancel();
                whole.onError(new TooLarge());
            } else {
                whole.onNext(buffers);
            }
        }

        @Override
        public void onError(Throwable failure) {
            whole.onError(failure);
        }

        @Override
        public void onComplete() {
            whole.onComplete();
        }
    }
}
