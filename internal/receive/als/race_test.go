//go:build race

package als

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
