//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package vfs

import (
	"io"
	"os"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// lockFile refuses: without a lock that dies with its process, two servers
// could write one journal.
func lockFile(f *os.File) (io.Closer, error) {
	return nil, fault.Errorf(fault.Unavailable, "lock file %s: this system has no flock", f.Name())
}
