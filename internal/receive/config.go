package receive

import (
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Limits bound what one request, and all together, may cost. A zero field takes
// its default.
type Limits struct {
	// Body is the size of a request body as received, in bytes (default 32 MiB;
	// Logstash sends bulks of 20 MiB).
	Body int64 `yaml:"body_bytes"`
	// Decoded is the size of a body after decompression, in bytes (default 64 MiB).
	Decoded int64 `yaml:"decoded_bytes"`
	// Ratio is how many times larger than its compressed form a body of more
	// than 8 MiB may be (default 256).
	Ratio int64 `yaml:"ratio"`
	// Items is the number of records in one request (default 262,144).
	Items int `yaml:"items"`
	// Depth is how deep JSON or protobuf values may nest where a receiver
	// decodes them itself (default 64).
	Depth int `yaml:"depth"`
	// Memory is the sum of all bodies held at once, in bytes (default 256 MiB).
	Memory int64 `yaml:"memory_bytes"`
}

// WithDefaults returns l with its zero fields filled in.
func (l Limits) WithDefaults() Limits {
	def := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&l.Body, 32<<20)
	def(&l.Decoded, 64<<20)
	def(&l.Ratio, 256)
	def(&l.Memory, 256<<20)
	if l.Items <= 0 {
		l.Items = 1 << 18
	}
	if l.Items > record.MaxRows {
		l.Items = record.MaxRows
	}
	if l.Depth <= 0 {
		l.Depth = 64
	}
	return l
}

// Part says of each error in err in which part of a receiver's configuration it
// is: "udp.allow: …".
func Part(name string, err error) []error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok { // what errors.Join made
		var out []error
		for _, e := range many.Unwrap() {
			out = append(out, Part(name, e)...)
		}
		return out
	}
	return []error{fault.WithHint(fault.Errorf(fault.KindOf(err), "%s.%w", name, err), fault.HintOf(err))}
}
