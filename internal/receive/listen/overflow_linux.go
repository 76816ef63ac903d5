package listen

import (
	"encoding/binary"
	"net"

	"golang.org/x/sys/unix"
)

// countOverflow asks the kernel to say with each datagram how many it has dropped
// because the socket's buffer was full (SO_RXQ_OVFL, socket(7)).
func countOverflow(c *net.UDPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	// Where it is not understood, drops are only in /proc/net/udp.
	_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1) })
}

// overflow returns what the kernel said, a number that only grows and begins
// again after 32 bits; false if it said nothing.
func overflow(oob []byte) (uint32, bool) {
	for len(oob) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return 0, false
		}
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SO_RXQ_OVFL && len(data) >= 4 {
			return binary.NativeEndian.Uint32(data), true
		}
		oob = rest
	}
	return 0, false
}
