//go:build unix

package filetail

import (
	"io/fs"
	"os"
	"syscall"
)

// openLog opens a log for reading. It follows no link and does not wait at a
// pipe; the caller checks that it is a regular file.
func openLog(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

func identify(st fs.FileInfo) ident {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return ident{Dev: uint64(s.Dev), Ino: uint64(s.Ino)}
	}
	return ident{}
}

// links returns how many names a file has.
func links(st fs.FileInfo) int {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return int(s.Nlink)
	}
	return 1
}
