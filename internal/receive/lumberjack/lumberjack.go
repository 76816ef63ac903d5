// Package lumberjack receives the protocol of Elastic's Beats and of Logstash's
// lumberjack output, version 2, and the data frames of version 1, over TCP, TLS
// and unix sockets.
//
//	| '2' 'W' | count u32 |                      a window: so many records follow
//	| '2' 'J' | seq u32 | length u32 | JSON |    a record
//	| '1' 'D' | seq u32 | pairs u32 | (length u32 | key | length u32 | value) … |
//	| '2' 'C' | length u32 | zlib of frames |
//	| '2' 'A' | seq u32 |                        the answer: kept up to this record
//
// All numbers are big-endian. A window is acknowledged once its records are
// durable, windows one after the other as they came. A large one is handed in in
// parts, and each part is acknowledged, which the protocol allows. While records
// cannot be kept the answer is delayed, and "kept up to 0" tells the client every
// few seconds that the server still works on it; without that it would send the
// window again after 30 seconds.
//
// What was not acknowledged a client sends again on another connection, and the
// protocol gives it no identity. Its content is one: a part whose every record
// says when it happened (@timestamp; version 1: offset) is numbered by sender and
// content, and seen once. Beats write the members of an object in another order
// each time, so the order does not count. The price: two parts that are equal in
// every record, one of them sent on a new connection, are taken for one. Records
// without a time are never numbered, and may be there twice after a crash.
//
// Raw records point into the connection's buffer, or into what a compressed frame
// was inflated to, until they were handed in. Nothing here survives a crash.
package lumberjack

import (
	"errors"
	"sync"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/listen"
)

// Name is the receiver's name in sources and metrics.
const Name = "lumberjack"

// Config of the receiver. Without listen it is off.
type Config struct {
	listen.Config `yaml:",inline"`
	// KeepRepeated takes a window that is sent again on another connection for a
	// new one.
	KeepRepeated bool `yaml:"keep_repeated"`
}

// Validate reports what would keep the receiver from starting.
func (c Config) Validate() error {
	err := c.Config.Validate()
	if !c.On() && c.KeepRepeated {
		err = errors.Join(err, fault.WithHint(fault.Errorf(fault.Invalid, "listen: is missing"), "name the address, or remove keep_repeated"))
	}
	return err
}

// A Receiver takes lumberjack connections.
type Receiver struct {
	inlet    *receive.Inlet
	listener *listen.Listener
	keep     bool          // repeated windows are new ones
	pulse    time.Duration // between two signs of life
	inflates sync.Pool     // *inflater
	parts    sync.Pool     // *part
}

// New returns the receiver. Nothing is opened yet.
func New(cfg Config, s receive.Shared) (*Receiver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := newReceiver(cfg, s)
	if !cfg.On() {
		return r, nil
	}
	s.Bodies = r.inlet.Bodies
	var err error
	// A frame of the largest size behind a part that is not full yet.
	most := int(r.inlet.Limits.Body) + 2*partBytes
	r.listener, err = listen.New(Name, cfg.Config, s, listen.Streams(r.serve), listen.MaxMessage(most))
	return r, err
}

func newReceiver(cfg Config, s receive.Shared) *Receiver {
	return &Receiver{inlet: receive.NewInlet(Name, s), keep: cfg.KeepRepeated, pulse: 5 * time.Second}
}

// Info describes the receiver.
func Info() receive.Info {
	return receive.Info{
		Name: Name, Protocol: "Lumberjack (Filebeat, Logstash)", Versions: "2 with compression, 1",
		Over:       "TCP, TLS, unix socket; usually port 5044",
		Ack:        "each window, or a part of it, once durable; a window sent again is seen once if its records have a time",
		Credential: "the listener (allow, client certificate)",
		Limits:     "one frame receive.body_bytes, one window receive.items",
		Tested:     []string{"go-lumber 0.1.0, sync and async"},
	}
}

// Listeners returns the listener, or none if it is off.
func (r *Receiver) Listeners() []*listen.Listener {
	if r.listener == nil {
		return nil
	}
	return []*listen.Listener{r.listener}
}
