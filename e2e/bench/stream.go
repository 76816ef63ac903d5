package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// wire is one connection of a protocol that is not HTTP.
type wire struct {
	net.Conn
	r *bufio.Reader
}

func (s *spoken) dial(ctx context.Context) (*wire, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return nil, err
	}
	return &wire{c, bufio.NewReader(c)}, nil
}

// hangUp says that nothing follows, and waits until the other side has read all.
func (w *wire) hangUp() {
	w.SetDeadline(time.Now().Add(time.Minute))
	if t, ok := w.Conn.(*net.TCPConn); ok && t.CloseWrite() == nil {
		io.Copy(io.Discard, w.r)
	}
	w.Close()
}

// MessagePack: texts of any length, maps of up to 65,535, small numbers.

func mpText(b []byte, v string) []byte {
	switch {
	case len(v) < 32:
		b = append(b, 0xa0|byte(len(v)))
	case len(v) < 256:
		b = append(b, 0xd9, byte(len(v)))
	default:
		b = binary.BigEndian.AppendUint16(append(b, 0xda), uint16(len(v)))
	}
	return append(b, v...)
}

func mpInt(b []byte, v int) []byte {
	if v >= 0 && v < 128 {
		return append(b, byte(v))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(v))
}

// forwardBody writes records as one PackedForward message of Fluentd's, with a
// chunk id that asks for an acknowledgement.
func forwardBody(d *drawer, from, to int) []byte {
	var entries, fields []byte
	for i := from; i < to; i++ {
		e, n := d.draw(i), 0
		fields = fields[:0]
		e.each(func(name, v string) {
			fields = mpText(mpText(fields, name), plainText(v))
			n++
		}, func(name string, v int) {
			fields = mpInt(mpText(fields, name), v)
			n++
		})
		entries = append(entries, 0x92, 0xd7, 0) // an entry of two; EventTime
		entries = binary.BigEndian.AppendUint32(entries, uint32(e.at.Unix()))
		entries = binary.BigEndian.AppendUint32(entries, uint32(e.at.Nanosecond()))
		entries = append(binary.BigEndian.AppendUint16(append(entries, 0xde), uint16(n)), fields...)
	}
	b := mpText([]byte{0x93}, "bench.mesh")
	b = append(binary.BigEndian.AppendUint32(append(b, 0xc6), uint32(len(entries))), entries...)
	b = mpInt(mpText(append(b, 0x82), "size"), to-from)
	return mpText(mpText(b, "chunk"), chunkID(from, to))
}

// chunkID names the records [from, to) in 20 bytes.
func chunkID(from, to int) string { return fmt.Sprintf("%010d%010d", from, to) }

// speakForward sends a message and waits for its acknowledgement: its chunk id is
// the last thing in it.
func speakForward(w *wire, body []byte) error {
	if _, err := w.Write(body); err != nil {
		return err
	}
	want := mpText(mpText([]byte{0x81}, "ack"), string(body[len(body)-20:]))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(w.r, got); err != nil {
		return fmt.Errorf("read the acknowledgement: %w", err)
	}
	if string(got) != string(want) {
		return fmt.Errorf("acknowledged %q, not %q", got, want)
	}
	return nil
}

// lumberjackBody writes records as one window of Beats.
func lumberjackBody(d *drawer, from, to int) []byte {
	b := binary.BigEndian.AppendUint32([]byte("2W"), uint32(to-from))
	for i := from; i < to; i++ {
		line := d.draw(i).appendJSON(nil)
		b = binary.BigEndian.AppendUint32(append(b, "2J"...), uint32(i-from+1))
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(line))), line...)
	}
	return b
}

// speakLumberjack sends a window and waits until its last record is acknowledged.
func speakLumberjack(w *wire, body []byte) error {
	if _, err := w.Write(body); err != nil {
		return err
	}
	count := binary.BigEndian.Uint32(body[2:])
	for {
		var ack [6]byte
		if _, err := io.ReadFull(w.r, ack[:]); err != nil {
			return fmt.Errorf("read the acknowledgement: %w", err)
		}
		switch n := binary.BigEndian.Uint32(ack[2:]); {
		case ack[0] != '2' || ack[1] != 'A' || n > count:
			return fmt.Errorf("acknowledged %q, not %d", ack[:], count)
		case n == count:
			return nil
		}
	}
}

// syslogBody writes records as RFC 5424 messages, each with its length in front.
func syslogBody(d *drawer, from, to int) []byte {
	var b, one []byte
	for i := from; i < to; i++ {
		e := d.draw(i)
		one = append(e.at.AppendFormat(append(one[:0], "<134>1 "...), timeLayout), ' ')
		one = fmt.Appendf(one, "%s %s 7 mesh - ", e.pod.name, e.pod.service)
		one = e.appendJSON(one)
		b = append(append(strconv.AppendInt(b, int64(len(one)), 10), ' '), one...)
	}
	return b
}

// speakAlone sends messages of a protocol that has no acknowledgement. hangUp waits
// until they are taken.
func speakAlone(w *wire, body []byte) error {
	_, err := w.Write(body)
	return err
}
