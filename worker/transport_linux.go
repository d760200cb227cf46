package worker

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// limitUnacknowledged ends a connection whose peer acknowledges nothing: keep-alive probes wait while bytes of ours are
// under way, so they alone do not find a peer that vanished in the middle of an exchange (tcp(7), TCP_USER_TIMEOUT).
func limitUnacknowledged(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(peerSilent.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return failed
}
