package receive

// An Info is what a receiver says about itself. docs/receivers.md is made of the
// Info of every receiver that the server has.
type Info struct {
	// Name is the receiver's name in sources, metrics and below receivers: in the
	// configuration.
	Name string
	// Protocol is the protocol's name as its users know it.
	Protocol string
	// Versions are those that are spoken.
	Versions string
	// Over says where it comes in: "HTTP" for the one port, with its main path, or
	// the transports of its own listeners.
	Over string
	// Ack says what tells the sender that its records are durable, and what
	// happens to a repetition. "" if there is no such thing: then Lossy is set.
	Ack string
	// Lossy is set when the protocol has no acknowledgement: what is lost on the
	// way, or while the server is down, is lost and nobody is told.
	Lossy bool
	// Credential says what the sender shows.
	Credential string
	// Limits are the protocol's own, beside those of receive: and of a listener.
	Limits string
	// Tested lists the real clients that records were taken from, with their
	// versions; what was only replayed from a client's own tests says so.
	Tested []string
}
