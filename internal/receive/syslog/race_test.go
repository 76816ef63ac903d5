//go:build race

package syslog

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
