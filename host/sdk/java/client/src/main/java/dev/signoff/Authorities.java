package dev.signoff;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;

/** The certificate authorities of the Java platform, and those of a file. */
final class Authorities {
    private Authorities() {}

    /**
     * Returns a context that trusts both.
     *
     * @throws dev.signoff.error.InvalidException if the file has no certificates
     */
    static SSLContext with(Path file) {
        try {
            List<Certificate> trusted = new ArrayList<>(read(file));
            trusted.addAll(ofPlatform());
            KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
            store.load(null, null);
            for (int i = 0; i < trusted.size(); i++) {
                store.setCertificateEntry(Integer.toString(i), trusted.get(i));
            }
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, managers(store), null);
            return context;
        } catch (GeneralSecurityException | IOException e) {
            throw Settings.invalid("certificate authorities in `" + file + "` cannot be read: " + e.getMessage());
        }
    }

    private static Collection<? extends Certificate> read(Path file) throws IOException, GeneralSecurityException {
        try (InputStream stream = Files.newInputStream(file)) {
            Collection<? extends Certificate> read =
                    CertificateFactory.getInstance("X.509").generateCertificates(stream);
            if (read.isEmpty()) {
                throw new IOException("it has no certificate");
            }
            return read;
        }
    }

    private static List<X509Certificate> ofPlatform() throws GeneralSecurityException {
        List<X509Certificate> issuers = new ArrayList<>();
        // Null stands for the platform's own store.
        for (TrustManager manager : managers(null)) {
            if (manager instanceof X509TrustManager x509) {
                issuers.addAll(List.of(x509.getAcceptedIssuers()));
            }
        }
        return issuers;
    }

    private static TrustManager[] managers(KeyStore store) throws GeneralSecurityException {
        TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(store);
        return factory.getTrustManagers();
    }
}
