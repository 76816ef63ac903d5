//go:build unix

package app

import (
	"math"
	"syscall"
)

// openFiles returns how many files the process may have open. (At its start the
// runtime has asked for as many as it may.) 0: it is not known.
func openFiles() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0
	}
	return int(min(uint64(l.Cur), math.MaxInt32))
}
