package normalise

import (
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/normalise/envoy"
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
)

// A name's mark says what it may mean, so that shape checks and the readers of
// known keys cost no comparison of strings per record.
//
//	| 0-7 Envoy key | 8-15 Linkerd key | 16-23 Hubble key | 24-31 body rank | 32-39 time rank | 40… flags |
const (
	meshName    uint64 = 1 << (40 + iota) // the sender says which mesh
	reserved                              // only intake may set the name
	stream                                // docker's name of log.iostream
	flags                                 // Envoy's response flags
	foreign                               // a spelling that Istio never uses
	envelope                              // a name within {"flow":{…}}
	otherHubble                           // a name within {"lost_events":{…}} and the like
)

// The lanes of ranks: 0 is no candidate, 1 the best.
const (
	bodyLane = 24
	timeLane = 32
)

// The names that a message and a time go by in JSON of any origin, best first.
var (
	bodyNames = [...]string{"body", "message", "msg", "log", "short_message"}
	timeNames = [...]string{"@timestamp", "timestamp", "time", "ts", "start_time", "date"}
)

func mark(name string) (m, count uint64, note any) {
	for i, s := range bodyNames {
		if s == name {
			m |= uint64(i+1) << bodyLane
		}
	}
	for i, s := range timeNames {
		if s == name {
			m |= uint64(i+1) << timeLane
		}
	}
	switch {
	case name == "mesh" || name == "mesh.type":
		m |= meshName
	case name == "stream":
		m |= stream
	case facts.Reserved(name):
		m |= reserved
	}
	p, count := platformMark(name)
	if list := index.Meanings(name); list != nil {
		note = list
	}
	return m | p, count, note
}

// The marks of the names of attributes.
const (
	ordinary   uint8 = iota
	ofMesh           // the sender says which mesh
	ofIntake         // only intake may set the name
	unreadable       // not UTF-8
	ofProgram        // the program that wrote the record
	ofPod            // the pod that wrote the record
	ofProxy          // what Envoy's OpenTelemetry logger says of itself in a resource
)

func markAttribute(name string) uint8 {
	switch {
	case !utf8.ValidString(name):
		return unreadable
	case name == "mesh" || name == "mesh.type":
		return ofMesh
	case name == "syslog.appname":
		return ofProgram
	case name == "k8s.pod.name" || name == "pod" || name == "pod_name" || name == "kubernetes.pod_name" || name == "kubernetes.pod.name":
		return ofPod
	case facts.Reserved(name) && name != record.Labels:
		return ofIntake
	case envoy.ResourceOf(name) != envoy.NoResource:
		return ofProxy
	}
	return ordinary
}
