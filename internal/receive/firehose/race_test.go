//go:build race

package firehose

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
