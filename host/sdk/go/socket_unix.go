//go:build unix

package signoff

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
)

// dialSocket connects to a Unix socket of this user or of root. Whoever can write the folder could have
// put another socket there, and would get the token.
func dialSocket(ctx context.Context, dialer *net.Dialer, path string) (net.Conn, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if system, ok := info.Sys().(*syscall.Stat_t); !ok || !isOurs(system.Uid) {
		return nil, &refusedServer{"the socket belongs to another user"}
	}
	connection, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	// The file could have been exchanged in between; the process that listens is the same.
	if user, known := peer(connection); known && !isOurs(user) {
		return nil, errors.Join(&refusedServer{"the process that listens on the socket is of another user"}, connection.Close())
	}
	return connection, nil
}

func isOurs(user uint32) bool {
	return user == 0 || int(user) == os.Geteuid()
}
