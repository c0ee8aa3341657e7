package dev.signoff;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channel;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import jdk.net.ExtendedSocketOptions;

/**
 * HTTP/1.1 over a Unix socket, which the client of the JDK does not speak: one request a connection. The server must
 * run as the user of this process, because any user may bind a name that is free.
 */
final class UnixTransport implements Transport {
    private static final int HEAD_BYTES_MAX = 64 << 10;

    /** Closes connections at their time limit. */
    private static final ScheduledExecutorService TIMER = Executors.newSingleThreadScheduledExecutor(task -> {
        Thread thread = new Thread(task, "signoff-unix-timer");
        thread.setDaemon(true);
        return thread;
    });

    private final Path socket;
    private final Headers headers;

    UnixTransport(Path socket, Headers headers) {
        this.socket = socket;
        this.headers = headers;
    }

    @Override
    public Answer send(Call call, Duration limit) throws IOException, TimeoutException, InterruptedException {
        byte[] request = request(call);
        AtomicBoolean late = new AtomicBoolean();
        try (SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            ScheduledFuture<?> end =
                    TIMER.schedule(() -> cut(channel, late), limit.toNanos(), TimeUnit.NANOSECONDS);
            try {
                channel.connect(UnixDomainSocketAddress.of(socket));
                requireOwnUser(channel);
                for (ByteBuffer left = ByteBuffer.wrap(request); left.hasRemaining(); ) {
                    channel.write(left);
                }
                return HttpAnswer.parse(whole(channel));
            } finally {
                end.cancel(false);
            }
        } catch (ClosedByInterruptException e) {
            // The exception keeps the interrupt, which InterruptedException must not.
            Thread.interrupted();
            throw new InterruptedException();
        } catch (ClosedChannelException e) {
            if (late.get()) {
                throw new TimeoutException();
            }
            throw e;
        }
    }

    @Override
    public InputStream open(Call call, String after, Duration limit) {
        throw Settings.invalid("a stream of events needs an http:// or https:// address");
    }

    private static Void cut(Channel connection, AtomicBoolean late) throws IOException {
        late.set(true);
        connection.close();
        return null;
    }

    private static void requireOwnUser(SocketChannel channel) throws IOException {
        String server = channel.getOption(ExtendedSocketOptions.SO_PEERCRED).user().getName();
        if (!CurrentUser.get().getName().equals(server)) {
            throw new WrongUser(server);
        }
    }

    private byte[] request(Call call) {
        byte[] body = call.body() == null ? new byte[0] : call.body().getBytes(StandardCharsets.UTF_8);
        StringBuilder head = new StringBuilder();
        head.append(call.method()).append(' ').append(call.target()).append(" HTTP/1.1\r\n");
        head.append("Host: localhost\r\nConnection: close\r\nContent-Length: ").append(body.length).append("\r\n");
        for (Map.Entry<String, String> header : headers.of(call).entrySet()) {
            head.append(header.getKey()).append(": ").append(header.getValue()).append("\r\n");
        }
        byte[] start = head.append("\r\n").toString().getBytes(StandardCharsets.US_ASCII);
        return ByteBuffer.allocate(start.length + body.length).put(start).put(body).array();
    }

    /** Reads until the server closes the connection. */
    private static byte[] whole(SocketChannel channel) throws IOException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        ByteBuffer part = ByteBuffer.allocate(16 << 10);
        while (channel.read(part) >= 0) {
            all.write(part.array(), 0, part.position());
            part.clear();
            if (all.size() > ANSWER_BYTES_MAX + HEAD_BYTES_MAX) {
                throw new TooLarge();
            }
        }
        return all.toByteArray();
    }
}
