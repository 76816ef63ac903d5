//go:build race

package store

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
