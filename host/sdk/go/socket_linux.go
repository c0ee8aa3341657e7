package signoff

import (
	"net"
	"syscall"
)

// peer returns the user of the process at the other end of a Unix socket.
func peer(connection net.Conn) (user uint32, known bool) {
	socket, ok := connection.(*net.UnixConn)
	if !ok {
		return 0, false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, false
	}
	var credentials *syscall.Ucred
	failed := raw.Control(func(descriptor uintptr) {
		credentials, err = syscall.GetsockoptUcred(int(descriptor), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if failed != nil || err != nil {
		return 0, false
	}
	return credentials.Uid, true
}
