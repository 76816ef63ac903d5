//go:build !linux

package filetail

// A watcher tells nothing here: new files are found by the rescan.
type watcher struct{ ping chan struct{} }

func newWatcher() *watcher { return &watcher{ping: make(chan struct{})} }

func (w *watcher) watch(map[string]bool) bool { return true }

func (w *watcher) close() {}
