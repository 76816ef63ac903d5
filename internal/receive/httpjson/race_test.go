//go:build race

package httpjson

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
