package signoff

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"os"
	"time"
)

// connectTimeMax limits a connection attempt, and its TLS handshake.
const connectTimeMax = 10 * time.Second

// newHTTP makes the HTTP client of a server. It follows no redirect, so that token and body go nowhere
// else.
func newHTTP(server address, ca string) (*http.Client, error) {
	dialer := &net.Dialer{Timeout: connectTimeMax}
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    connectTimeMax,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
		// A compressed answer could be larger than its bytes suggest.
		DisableCompression: true,
	}
	if server.local {
		// A proxy has another loopback, and would see the token. The environment's own exception compares
		// the spelling of the host.
		transport.Proxy = nil
	}
	if server.socket != "" {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialSocket(ctx, dialer, server.socket)
		}
	}
	if server.tls {
		roots, err := authorities(ca)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// authorities returns this machine's certificate authorities and those of a PEM file; nil stands for the
// machine's alone.
func authorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	wrong := func(why error) error {
		return newError("request-invalid", "certificate authorities `%s`: %v", path, why).because(why)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, wrong(err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	found := false
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, wrong(err)
		}
		roots.AddCert(certificate)
		found = true
	}
	if !found {
		return nil, wrong(errors.New("it contains no certificate"))
	}
	return roots, nil
}

// refusedServer says that there is a server, but not one to talk to.
type refusedServer struct{ why string }

func (r *refusedServer) Error() string { return r.why }

// isFinal reports whether an error of a connection would come again: the server's certificate or user is
// not trusted.
func isFinal(err error) bool {
	var refused *refusedServer
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(err, &refused) || errors.As(err, &certificate) || errors.As(err, &record)
}
