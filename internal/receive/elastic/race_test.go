//go:build race

package elastic

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
