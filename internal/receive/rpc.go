package receive

import (
	"github.com/meshtrail/meshtrail/internal/httpd/rpc"
)

// Service returns the gRPC service of a receiver: what is not the sender's fault
// is UNAVAILABLE with a RetryInfo, failures are counted, and messages may be as
// large as Limits.Decoded unless a method says otherwise.
func (in *Inlet) Service(name string, methods ...rpc.Method) rpc.Service {
	for i := range methods {
		if methods[i].MaxMessage == 0 {
			methods[i].MaxMessage = in.Limits.Decoded
		}
	}
	return rpc.Service{Name: name, Methods: methods, Intake: true, Failed: in.Meter.Failed}
}

// Call runs a gRPC method that takes one message of records, as Receive runs an
// intake request over HTTP: decode and answer are the same functions.
func (in *Inlet) Call(s *rpc.Stream, decode func(body *Body, set *Set) error, answer func(*Taken) error) error {
	from, err := in.Identify(s.Request())
	if err != nil {
		return err
	}
	from.answered = true
	body, err := in.Message(s)
	if err != nil {
		return err
	}
	defer body.Release()
	id, err := RequestID(s.Request(), from, in.Name, body.Bytes)
	if err != nil {
		return err
	}
	set := NewSet()
	defer set.Release()
	if err := decode(body, set); err != nil {
		return err
	}
	id = contentID(id, from, in.Name, set, body)
	t := Taken{Body: body, Set: set}
	if t.Outcome, err = in.Ingest(s.Context(), from, id, set, body); err != nil {
		return err
	}
	return answer(&t)
}

// Message reads the next message of a call into counted memory; io.EOF when
// there is none. The caller releases the Body.
func (in *Inlet) Message(s *rpc.Stream) (*Body, error) {
	m, err := s.Next()
	if err != nil {
		return nil, err
	}
	return in.Bodies.Message(m)
}
