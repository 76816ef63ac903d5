//go:build race

package zipkin

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
