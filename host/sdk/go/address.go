package signoff

import (
	"net/netip"
	"net/url"
	"strings"
)

// address is the parsed URL of a server.
type address struct {
	// base is the URL without a slash at its end.
	base string
	// socket is the path of a Unix socket, or empty.
	socket string
	tls    bool
	// local is true if requests do not leave this machine.
	local bool
}

// parseAddress reads `http://…`, `https://…` or `unix:PATH`.
func parseAddress(given string) (address, error) {
	if given == "" {
		return address{}, newError("request-invalid", "no server: give a URL, or set SIGNOFF_SERVER")
	}
	if path, ok := strings.CutPrefix(given, "unix:"); ok {
		if path == "" {
			return address{}, newError("request-invalid", "expected a path after `unix:`")
		}
		// The name only goes into `Host`.
		return address{base: "http://localhost", socket: path, local: true}, nil
	}
	if strings.Contains(given, "@") {
		// Not quoted: what is before the `@` may be a password.
		return address{}, newError("request-invalid", "the server's URL must not contain `@`")
	}
	parsed, err := url.Parse(given)
	if err != nil || parsed.Hostname() == "" || strings.ContainsAny(given, "?#") ||
		parsed.Scheme != "http" && parsed.Scheme != "https" {
		return address{}, newError("request-invalid", "`%s` is not an http://, https:// or unix: URL", given)
	}
	return address{
		base: strings.TrimRight(given, "/"), tls: parsed.Scheme == "https", local: isLoopback(parsed.Hostname()),
	}, nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}
