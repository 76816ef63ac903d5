//go:build race

package jaeger

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
