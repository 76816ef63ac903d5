package jsontext

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/receive"
)

// maxTorn bounds how often the end of an object that has none is looked for,
// since each time the whole rest is read. Further lines are taken as they are.
const maxTorn = 16

// Split calls add for every record of a text without an envelope: JSON objects,
// each on a line, over several, or without anything between them; an array of
// them; or lines of text, also among them. Payloads alias b. What begins as an
// object and does not end is one record up to the end of its line, declared to be
// JSON, so that it is refused by itself and kept aside. The first error of add
// ends it. depth bounds the array's place only; of records just their end is
// looked for.
func Split(b []byte, depth int, set *receive.Set, add func(payload []byte, json bool) error) error {
	b = bytes.TrimLeft(b, " \t\r\n")
	if len(b) > 0 && b[0] == '[' {
		j := NewReader(b, depth, set)
		if j.Begin('[') {
			done, err := elements(&j, add)
			if done || err != nil {
				return err
			}
			b = b[min(j.pos, len(b)):] // a broken array: what follows is read as if there were none
		}
	}
	for torn := 0; ; {
		b = bytes.TrimLeft(b, " \t\r\n")
		if len(b) == 0 {
			return nil
		}
		json := b[0] == '{'
		if json && torn < maxTorn {
			j := NewReader(b, depth, set)
			if text := j.Raw(); j.err == nil {
				if err := add(text, true); err != nil {
					return err
				}
				b = b[j.pos:]
				continue
			}
			torn++
		}
		line, rest, _ := bytes.Cut(b, newline)
		if err := add(bytes.TrimRight(line, "\r"), json); err != nil {
			return err
		}
		b = rest
	}
}

var newline = []byte("\n")

// elements takes the elements of an array: objects, and texts as lines. It is not
// done when the array is broken; j then stands where the next record may begin.
func elements(j *Reader, add func(payload []byte, json bool) error) (done bool, err error) {
	for j.Elem() {
		at := j.pos
		switch c := j.Peek(); c {
		case '"':
			text := j.String()
			if j.err == nil {
				err = add(text, false)
			}
		default:
			at = j.pos
			text := j.Raw()
			if j.err == nil {
				err = add(text, c == '{')
			}
		}
		if err != nil {
			return true, err
		}
		if j.err != nil {
			j.pos = at
			return false, nil
		}
	}
	if j.err != nil {
		return false, nil
	}
	return true, nil
}
