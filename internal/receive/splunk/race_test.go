//go:build race

package splunk

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
