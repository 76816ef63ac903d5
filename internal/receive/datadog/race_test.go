//go:build race

package datadog

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
