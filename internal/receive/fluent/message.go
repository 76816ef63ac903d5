package fluent

import (
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive/msgpack"
)

// A mode is how a message carries its entries.
type mode uint8

const (
	modeNone    mode = iota // nil: a heartbeat of old
	modeMessage             // [tag, time, record, option?]
	modeForward             // [tag, [[time, record], …], option?]
	modePacked              // [tag, "[time, record]…", option?], compressed or not
)

// A message is one of the protocol's, its entries not read yet. Slices alias the
// bytes that it was read from.
type message struct {
	mode mode
	tag  []byte
	body []byte // modeMessage: time and record; modeForward: the array; modePacked: the entries
	option
	bad error // why the entries cannot be read
}

// An option is what the last element of a message says. Senders may leave it out
// and add what they like.
type option struct {
	chunk      []byte // asks for an acknowledgement; nil: none
	compressed string
	size       int64
	signal     int64 // Fluent Bit: 0 logs, 1 metrics, 2 traces, 3 blobs, 4 profiles
	metadata   []byte
}

// maxChunk bounds the text of a chunk's identity. Fluent Bit reads its answer into
// 512 bytes.
const maxChunk = 256

// parse reads the outline of a message. top are the offsets of its elements, if
// they are known. An error means that the sender does not speak this protocol.
func parse(data []byte, top []int) (message, error) {
	var m message
	r := msgpack.NewReader(data)
	head := r.Next()
	if head.Kind == msgpack.Nil {
		return m, nil
	}
	if head.Kind != msgpack.Array || head.N < 2 || head.N > 4 {
		return m, fault.WithHint(fault.Errorf(fault.Invalid, "a message is %s, not an array of 2 to 4", head.Kind),
			"this port takes Fluentd's forward protocol")
	}
	if len(top) < head.N {
		top = nil
		for range head.N {
			top = append(top, r.Pos())
			if r.Skip(); r.Err() != nil {
				return m, r.Err()
			}
		}
	}
	end := func(i int) int {
		if i+1 < head.N {
			return top[i+1]
		}
		return len(data)
	}
	r.Seek(top[0])
	tag := r.Next()
	if !tag.IsText() {
		return m, fault.Errorf(fault.Invalid, "the tag of a message is %s", tag.Kind)
	}
	m.tag = tag.Bytes
	r.Seek(top[1])
	second := r.Next()
	last := 2 // the option's place
	switch {
	case second.IsText():
		m.mode, m.body = modePacked, second.Bytes
	case second.Kind == msgpack.Array && !(head.N > 2 && bareTime(&r, second.N)):
		m.mode, m.body = modeForward, data[top[1]:end(1)]
	case head.N < 3:
		return m, fault.Errorf(fault.Invalid, "a message of a tag and %s has no record", second.Kind)
	default:
		m.mode, m.body, last = modeMessage, data[top[1]:end(2)], 3
	}
	if last < head.N {
		r.Seek(top[last])
		m.readOption(&r)
	}
	if len(m.chunk) > maxChunk {
		return m, fault.Errorf(fault.TooLarge, "the chunk of a message has %d bytes, more than %d", len(m.chunk), maxChunk)
	}
	return m, r.Err()
}

// bareTime reports whether an array of n, whose elements r stands before, is the
// [time, metadata] of a single record and no list of entries.
func bareTime(r *msgpack.Reader, n int) bool { return n > 0 && r.Next().Kind != msgpack.Array }

func (o *option) readOption(r *msgpack.Reader) {
	head := r.Next()
	if head.Kind != msgpack.Map {
		return // nil, and what nobody knows
	}
	for range head.N {
		key := r.Next()
		at := r.Pos()
		value := r.Next()
		switch {
		case string(key.Bytes) == "chunk" && value.IsText():
			o.chunk = value.Bytes
		case string(key.Bytes) == "compressed" && value.IsText():
			o.compressed = string(value.Bytes)
		case string(key.Bytes) == "size" && value.Kind == msgpack.Int:
			o.size = value.Int
		case string(key.Bytes) == "fluent_signal" && value.Kind == msgpack.Int:
			o.signal = value.Int
		default:
			r.Seek(at)
			if v := r.Skip(); string(key.Bytes) == "metadata" && value.Kind == msgpack.Map {
				o.metadata = v
			}
		}
		if r.Err() != nil {
			return
		}
	}
}
