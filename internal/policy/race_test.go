//go:build race

package policy

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
