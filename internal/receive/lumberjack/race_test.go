//go:build race

package lumberjack

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
