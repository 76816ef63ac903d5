package filetail

import (
	"os"

	"golang.org/x/sys/unix"
)

// A watcher tells that a name came, went or moved in one of its folders. It does
// not tell of writes: a busy log would cost one wake-up for each, where a look
// at its size every Poll costs ten a second. (fsnotify can not leave them out.)
type watcher struct {
	file *os.File // of inotify; nil: the system has none for us
	ping chan struct{}
	done chan struct{}
}

func newWatcher() *watcher {
	w := &watcher{ping: make(chan struct{}, 1), done: make(chan struct{})}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		close(w.done)
		return w
	}
	w.file = os.NewFile(uintptr(fd), "inotify")
	go w.read()
	return w
}

// read turns events into pings. Which folder it was does not matter: a scan
// looks at all of them.
func (w *watcher) read() {
	defer close(w.done)
	buf := make([]byte, 64<<10)
	for {
		if _, err := w.file.Read(buf); err != nil {
			return
		}
		select {
		case w.ping <- struct{}{}:
		default:
		}
	}
}

// watch adds folders. It reports false when the system's limit of watches is used up.
func (w *watcher) watch(dirs map[string]bool) bool {
	if w.file == nil {
		return false
	}
	conn, err := w.file.SyscallConn()
	if err != nil {
		return false
	}
	ok := true
	for d := range dirs {
		// Asking again is harmless, and needed where a folder was removed and
		// made again under its old name.
		conn.Control(func(fd uintptr) {
			_, err = unix.InotifyAddWatch(int(fd), d, unix.IN_CREATE|unix.IN_MOVED_FROM|unix.IN_MOVED_TO|unix.IN_DELETE|unix.IN_ONLYDIR)
		})
		ok = ok && err != unix.ENOSPC
	}
	return ok
}

func (w *watcher) close() {
	if w.file != nil {
		w.file.Close()
	}
	<-w.done
}
