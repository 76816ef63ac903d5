//go:build race

package gelf

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
