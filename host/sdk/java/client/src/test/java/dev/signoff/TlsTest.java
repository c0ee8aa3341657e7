package dev.signoff;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.signoff.error.UnavailableException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TlsTest {
    private static final char[] PASSWORD = "password".toCharArray();

    @TempDir
    private static Path folder;

    private static SSLContext tls;
    private static Path certificate;

    /** Makes a certificate for `localhost` that nobody has signed but itself. */
    @BeforeAll
    static void certify() throws Exception {
        Path file = folder.resolve("store.p12");
        List<String> keytool = List.of(Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
                "-genkeypair", "-alias", "server", "-keyalg", "EC", "-dname", "CN=test", "-ext", "san=dns:localhost",
                "-validity", "2", "-storetype", "PKCS12", "-storepass", "password", "-keystore", file.toString());
        assertEquals(0, new ProcessBuilder(keytool).inheritIO().start().waitFor());
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (InputStream stream = Files.newInputStream(file)) {
            store.load(stream, PASSWORD);
        }
        byte[] encoded = store.getCertificate("server").getEncoded();
        certificate = Files.writeString(folder.resolve("ca.pem"), "-----BEGIN CERTIFICATE-----\n"
                + Base64.getMimeEncoder().encodeToString(encoded) + "\n-----END CERTIFICATE-----\n");
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(store, PASSWORD);
        tls = SSLContext.getInstance("TLS");
        tls.init(keys.getKeyManagers(), null, null);
    }

    private static int keys(FakeServer server, String host, Path ca) {
        ClientBuilder builder = Client.builder().environment(Map.of("XDG_CONFIG_HOME", folder.resolve("none").toString()))
                .url("https://" + host + ":" + server.port()).token("secret");
        return (ca == null ? builder : builder.ca(ca)).build().keys().size();
    }

    @Test
    void a_server_is_trusted_by_the_given_authority_and_its_name_alone() throws Exception {
        try (FakeServer server = new FakeServer(sent -> FakeServer.Reply.of(200, "{\"items\":[]}"), tls)) {
            assertEquals(0, keys(server, "localhost", certificate));
            assertEquals(1, server.seen().size());
            assertThrows(UnavailableException.class, () -> keys(server, "localhost", null));
            assertThrows(UnavailableException.class, () -> keys(server, "127.0.0.1", certificate));
            assertEquals(1, server.seen().size());
        }
    }
}
