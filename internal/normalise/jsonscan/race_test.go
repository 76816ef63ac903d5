//go:build race

package jsonscan

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
