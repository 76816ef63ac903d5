//go:build race

package schema

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
