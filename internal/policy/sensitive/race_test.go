//go:build race

package sensitive

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
