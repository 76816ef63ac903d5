//go:build race

package spans

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
