//go:build race

package loki

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
