//go:build race

package journald

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
