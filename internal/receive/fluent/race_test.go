//go:build race

package fluent

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
