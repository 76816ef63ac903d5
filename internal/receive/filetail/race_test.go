//go:build race

package filetail

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
