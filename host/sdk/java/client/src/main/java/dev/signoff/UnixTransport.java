package dev.signoff;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
final class UnixTransport implements Transport {
    UnixTransport(Path socket, Headers headers) {}
    @Override
    public Answer send(Call call, Duration limit) throws IOException {
        throw new IOException("unsupported");
    }
}
