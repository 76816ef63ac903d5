//go:build race

package victorialogs

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
