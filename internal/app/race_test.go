//go:build race

package app

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
