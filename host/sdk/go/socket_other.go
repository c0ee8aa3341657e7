//go:build !unix

package signoff

import (
	"context"
	"net"
)

// dialSocket refuses sockets where their owner cannot be checked.
func dialSocket(context.Context, *net.Dialer, string) (net.Conn, error) {
	return nil, &refusedServer{"Unix sockets are not supported on this system"}
}
