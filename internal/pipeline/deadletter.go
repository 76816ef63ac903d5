package pipeline

import (
	"strconv"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/normalise"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/record"
)

// DeadLetters is the counted source of dead letters.
const DeadLetters = "meshtrail.deadletter"

// DeadLetterClass is the retention class of dead letters.
const DeadLetterClass record.Class = "deadletter"

// maxDeadBody bounds what is kept of a refused record.
const maxDeadBody = 64 << 10

// refuse counts raw, which is raw record i or one that it holds, as rejected and
// keeps it as a dead letter: what was sent, as valid UTF-8 and perhaps cut, with
// the reason. Policy redacts it like any record. Of the attributes of a record
// that was too large nothing is kept, because they may be what is large.
func (w *worker) refuse(i, size int, raw *record.Raw, r *normalise.Refusal) {
	w.out.Refused = append(w.out.Refused, Refusal{Index: i, Reason: r.Reason, Detail: r.Detail})
	w.main.Account.Rejected = add(w.main.Account.Rejected, r.Reason, 1)
	t := raw.Time
	if t == 0 {
		t = w.now.UnixNano()
	}
	b := &w.dead
	b.Begin(t, DeadLetterClass)
	b.StrBytes(record.Body, deadBody(raw.Payload))
	b.Str("deadletter.reason", r.Reason)
	b.Str("deadletter.detail", r.Detail)
	b.Str("deadletter.source", w.req.Source)
	b.Int("deadletter.size", int64(size))
	b.Str("log.source", DeadLetters)
	if size <= w.p.limits.Record {
		for _, a := range raw.Attrs {
			b.Set("deadletter.attribute."+a.Name, a.Value)
		}
	}
	b.End()
}

func deadBody(p []byte) []byte {
	cut := p[:min(len(p), maxDeadBody)]
	whole := len(cut) == len(p)
	if !utf8.Valid(cut) {
		cut = jsonscan.EscapeUTF8(nil, cut, `\x`)
	}
	if len(cut) > maxDeadBody {
		cut, whole = cut[:maxDeadBody], false
	}
	for n := 1; n < utf8.UTFMax && len(cut) > 0 && !whole; n++ { // no half character at the end
		if r, size := utf8.DecodeLastRune(cut); r != utf8.RuneError || size > 1 {
			break
		}
		cut = cut[:len(cut)-1]
	}
	if !whole {
		cut = wholeWords(cut)
	}
	return cut
}

// wholeWords cuts off what may be the first part of a word: of half a credential
// policy would not know what it is.
func wholeWords(p []byte) []byte {
	for i := len(p) - 1; i > len(p)-4096 && i >= 0; i-- {
		switch b := p[i]; {
		case b <= ' ', b == '"', b == '\'', b == ',', b == ';', b == '{', b == '}', b == '[', b == ']', b == '<', b == '>', b == '&', b == '|':
			return p[:i+1]
		}
	}
	return p
}

func bytesText(n int) string { return strconv.Itoa(n) + " bytes" }
