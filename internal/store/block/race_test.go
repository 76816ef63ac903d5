//go:build race

package block

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
