package app

import "github.com/meshtrail/meshtrail/internal/httpd"

// places returns how many connections may be open over HTTP, and on the ports of
// receivers. Three quarters of the files that the process may have open are for
// both together, and five eighths for each: the rest is the store's, and the last
// eighth that of the other side, so that no sender, and nobody who may only connect,
// keeps them from theirs. nil, which bounds nothing, if files is 0.
func places(files int) (http, ports *httpd.Places) {
	if files <= 0 {
		return nil, nil
	}
	all := httpd.NewPlaces(max(files*3/4, 32))
	each := max(files*5/8, 16)
	return all.Some(each), all.Some(each)
}
