//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package vfs

import (
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// lockFile takes flock(2), which the kernel releases when the process dies,
// however it dies. f belongs to the result.
func lockFile(f *os.File) (io.Closer, error) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return f, nil
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			return nil, fault.WithHint(
				fault.Errorf(fault.Conflict, "lock file %s: another process holds it", f.Name()),
				"stop the other meshtrail that uses this folder, or use another folder")
		}
		return nil, fault.Errorf(fault.Unavailable, "lock file %s: %w", f.Name(), err)
	}
}
