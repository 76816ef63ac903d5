//go:build race

package otlp

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
