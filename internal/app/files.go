package app

import "github.com/meshtrail/meshtrail/internal/httpd"

// places returns how many connections may be open over HTTP, and as many on the
// ports of receivers: three eighths each of the files that the process may have
// open. The rest is the store's, so that no sender, and nobody who may only connect,
// keeps it from its files. nil, which bounds nothing, if files is 0.
func places(files int) *httpd.Places {
	if files <= 0 {
		return nil
	}
	return httpd.NewPlaces(max(files*3/8, 16))
}
