//go:build race

package normalise

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
