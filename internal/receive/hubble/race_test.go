//go:build race

package hubble

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
