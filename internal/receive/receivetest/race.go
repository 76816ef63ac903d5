//go:build race

package receivetest

// Race reports whether the race detector is on, which allocates on its own.
const Race = true
