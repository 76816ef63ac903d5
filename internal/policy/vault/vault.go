// Package vault gives a value the same random token again, and the value back to
// who may have it. A token says nothing about its value: it is drawn, not
// computed, and without the vault nothing leads from one to the other.
//
//	tokens/          a journal of its own (package journal), under its own key
//	frame payload    | version 1 | tenant length 1 | tenant | sealed entries |
//	entry            | index 16 | token 15 | value length, uvarint | value |
//
// The entries of a frame are sealed under a key of their tenant, within the
// journal's own sealing. The index of a value is a keyed hash by which it is
// found again; it and the value's token are in memory, the value is on disk only.
//
// What survives a crash: every token that Commit returned nil for. Who writes a
// token down commits first, so a token that is anywhere can be resolved. After a
// failed sync the vault gives out no new tokens (see the note on fsync in vfs),
// and Options.Poisoned is called.
//
// The vault MUST NOT know what values are, nor who may see them. It copies what
// it is given.
package vault

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/journal"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/telemetry"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// Limits.
const (
	// MaxValue is the longest value that has a token, in bytes.
	MaxValue = 4 << 10
	// DefaultMaxTokens is how many tokens a tenant may have. Each costs about 60
	// bytes of memory.
	DefaultMaxTokens = 2_000_000

	maxFrame = 1 << 20 // bytes of entries in one frame, about
)

// Prefix begins every token, so that a person knows one and a search finds it as
// one word.
const Prefix = "tok_"

const tokenSize = 15

// A Token is the random part of a token.
type Token [tokenSize]byte

var text = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// AppendText appends the token as it stands in records: Prefix and 24 of a-z2-7.
func (t *Token) AppendText(dst []byte) []byte { return text.AppendEncode(append(dst, Prefix...), t[:]) }

// ParseToken reads what AppendText wrote.
func ParseToken(s string) (t Token, err error) {
	rest, ok := strings.CutPrefix(s, Prefix)
	if !ok || len(rest) != text.EncodedLen(tokenSize) {
		return t, fault.Errorf(fault.Invalid, "%.40q is no token: it is %s and %d letters and digits", s, Prefix, text.EncodedLen(tokenSize))
	}
	if _, err := text.Decode(t[:], []byte(rest)); err != nil {
		return t, fault.Errorf(fault.Invalid, "%.40q is no token", s)
	}
	return t, nil
}

// Options are what Open needs.
type Options struct {
	FS  vfs.FS // the vault's own folder
	Key *crypt.Key
	// TenantKey returns the key of a tenant for tokens; the same for ever.
	TenantKey func(tenant record.TenantID) (*crypt.Key, error)
	// Anchor is the newest position that the ledger remembers, or nil. With one,
	// a vault that is gone is not begun anew: its tokens are in records.
	Anchor    *journal.Position
	MaxTokens int // of one tenant; 0: DefaultMaxTokens

	Logger   *slog.Logger       // nil: discards
	Metrics  *telemetry.Metrics // nil: none
	Poisoned func(error)        // nil: nobody is told
}

// Vault is an open vault. It is safe for concurrent use.
type Vault struct {
	o        Options
	journal  *journal.Journal
	recovery journal.Recovery

	mu      sync.Mutex
	tenants map[record.TenantID]*Tenant
}

// Tenant is the part of a vault that belongs to one tenant.
type Tenant struct {
	v      *Vault
	name   record.TenantID
	sealer *crypt.Sealer
	index  *crypt.Key

	mu      sync.Mutex
	known   map[index]uint32 // durable: place in entries
	entries []entry
	pending map[index]waiting
	next    *Flight // that the next new token joins; nil if there is none
}

// index is how a value is found again.
type index [16]byte

// entry is a durable token and the frame that has its value.
type entry struct {
	token Token
	seq   uint64
}

// waiting is a token that is not durable yet.
type waiting struct {
	token  Token
	flight *Flight
}

// Open opens the vault in a folder, or begins one in an empty folder. Damage is
// moved to quarantine and does not make it fail: see Recovery.
func Open(o Options) (*Vault, error) {
	if o.MaxTokens <= 0 {
		o.MaxTokens = DefaultMaxTokens
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	v := &Vault{o: o, tenants: map[record.TenantID]*Tenant{}}
	if err := v.open(); err != nil {
		return nil, fault.Errorf(fault.KindOf(err), "open token vault: %w", err)
	}
	o.Metrics.GaugeFunc("meshtrail_vault_tokens", "Tokens in the vault, over all tenants.", func() float64 { return float64(v.Len()) })
	return v, nil
}

func (v *Vault) open() error {
	o := journal.Options{FS: v.o.FS, Key: v.o.Key, Anchor: v.o.Anchor, Logger: v.o.Logger, Poisoned: v.o.Poisoned}
	var err error
	v.journal, v.recovery, err = journal.Open(o)
	if fault.Is(err, fault.NotFound) {
		if v.o.Anchor != nil {
			return fault.WithHint(fault.Errorf(fault.NotFound, "the ledger knows of %d frames of tokens, and there is no vault", v.o.Anchor.Seq),
				"restore the folder tokens/ from a backup: without it no token can be turned back")
		}
		if err := journal.Create(o.FS, o.Key); err != nil {
			return err
		}
		v.journal, v.recovery, err = journal.Open(o)
	}
	if err != nil {
		return err
	}
	err = v.journal.Replay(context.Background(), 0, func(seq uint64, p []byte) error {
		t, entries, err := v.decode(p)
		if err != nil {
			return fault.Errorf(fault.KindOf(err), "frame %d: %w", seq, err)
		}
		return each(entries, func(i index, token Token, _ []byte) error {
			t.put(i, entry{token: token, seq: seq})
			return nil
		})
	})
	if err != nil {
		return errors.Join(err, v.journal.Close())
	}
	return nil
}

// Recovery says what opening the vault found. Damage MUST be reported.
func (v *Vault) Recovery() journal.Recovery { return v.recovery }

// Head returns the last durable position, for the ledger.
func (v *Vault) Head() journal.Position { return v.journal.Head() }

// Len returns how many tokens there are.
func (v *Vault) Len() (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, t := range v.tenants {
		t.mu.Lock()
		n += len(t.known)
		t.mu.Unlock()
	}
	return n
}

// Close closes the vault. What was not committed is gone.
func (v *Vault) Close() error { return v.journal.Close() }

// Of returns the part of a tenant.
func (v *Vault) Of(name record.TenantID) (*Tenant, error) {
	if !record.ValidName(string(name)) {
		return nil, fault.Errorf(fault.Internal, "tokens of tenant %q", name)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if t := v.tenants[name]; t != nil {
		return t, nil
	}
	key, err := v.o.TenantKey(name)
	if err != nil {
		return nil, fault.Errorf(fault.KindOf(err), "open the token key of tenant %s: %w", name, err)
	}
	t := &Tenant{v: v, name: name, sealer: crypt.NewSealer(key.Derive("meshtrail token values")), index: key.Derive("meshtrail token index"), known: map[index]uint32{}, pending: map[index]waiting{}}
	v.tenants[name] = t
	return t, nil
}

// put takes in an entry. The last one of a value counts: an earlier one was
// never acknowledged.
func (t *Tenant) put(i index, e entry) {
	t.known[i] = uint32(len(t.entries))
	t.entries = append(t.entries, e)
}

// A Hash computes the index of values. It is not safe for concurrent use.
type Hash struct{ mac *crypt.MAC }

// Hash returns a Hash for the values of the tenant.
func (t *Tenant) Hash() Hash { return Hash{t.index.MAC()} }

// Token returns the token of a value, which is drawn if the value has none. A
// flight that is not nil MUST be committed before the token is written anywhere.
// A tenant that has its number of tokens gets no new ones: fault.Overload. A
// value that is too long is fault.TooLarge.
func (t *Tenant) Token(h Hash, value []byte) (Token, *Flight, error) {
	if len(value) > MaxValue {
		return Token{}, nil, fault.Errorf(fault.TooLarge, "a value of %d bytes has no token, at most %d", len(value), MaxValue)
	}
	var i index
	h.mac.Sum(i[:], value)
	t.mu.Lock()
	defer t.mu.Unlock()
	if n, ok := t.known[i]; ok {
		return t.entries[n].token, nil, nil
	}
	if w, ok := t.pending[i]; ok {
		return w.token, w.flight, nil
	}
	if len(t.known)+len(t.pending) >= t.v.o.MaxTokens {
		return Token{}, nil, fault.Errorf(fault.Overload, "tenant %s has %d tokens, no more are given out", t.name, len(t.known))
	}
	var token Token
	rand.Read(token[:])
	if t.next == nil {
		t.next = &Flight{t: t}
	}
	t.next.add(i, token, value)
	t.pending[i] = waiting{token, t.next}
	return token, t.next, nil
}

// A Flight is tokens that become durable together.
type Flight struct {
	t    *Tenant
	once sync.Once
	err  error

	// Guarded by t.mu until it is committed, which takes it out of t.next.
	data []byte // entries
	cuts []int  // where data is cut into frames
	of   []index
}

func (f *Flight) add(i index, token Token, value []byte) {
	last := 0
	if len(f.cuts) > 0 {
		last = f.cuts[len(f.cuts)-1]
	}
	if len(f.data)-last > maxFrame {
		f.cuts = append(f.cuts, len(f.data))
	}
	f.data = appendEntry(f.data, i, token, value)
	f.of = append(f.of, i)
}

// Commit makes the tokens of a flight durable, whoever drew them. On an error,
// the same for all, none of them may be used.
func (f *Flight) Commit() error {
	f.once.Do(f.commit)
	return f.err
}

func (f *Flight) commit() {
	t := f.t
	t.mu.Lock()
	if t.next == f {
		t.next = nil
	}
	t.mu.Unlock()
	var seqs []uint64 // of each entry
	from := 0
	for _, to := range append(f.cuts, len(f.data)) {
		p, n, err := t.encode(f.data[from:to])
		var seq uint64
		if err == nil {
			// Others wait for this flight: it does not end with one caller.
			seq, err = t.v.journal.Append(context.Background(), p, nil)
		}
		if err != nil {
			f.err = fault.WithHint(fault.Errorf(fault.KindOf(err), "keep %d new tokens of tenant %s: %w", len(f.of), t.name, err), "nothing is stored that carries them; send it again")
			break
		}
		for range n {
			seqs = append(seqs, seq)
		}
		from = to
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, i := range f.of {
		w := t.pending[i]
		delete(t.pending, i)
		if k < len(seqs) { // durable, even where a later frame was not
			t.put(i, entry{w.token, seqs[k]})
		}
	}
	f.data, f.cuts, f.of = nil, nil, nil
}

// Reveal returns the value that a token stands for, or fault.NotFound.
func (t *Tenant) Reveal(token Token) (string, error) {
	t.mu.Lock()
	var seq uint64
	for k := range t.entries { // asked rarely: no index is worth its memory
		if t.entries[k].token == token {
			seq = t.entries[k].seq
			break
		}
	}
	t.mu.Unlock()
	if seq == 0 {
		return "", fault.Errorf(fault.NotFound, "tenant %s has no such token", t.name)
	}
	r := t.v.journal.Reader(seq - 1)
	defer r.Close()
	got, p, err := r.TryNext()
	if err != nil || got != seq {
		return "", fault.Errorf(fault.Corrupt, "read frame %d of the token vault: %w", seq, errors.Join(err, io.EOF))
	}
	owner, entries, err := t.v.decode(p)
	if err != nil {
		return "", fault.Errorf(fault.KindOf(err), "frame %d of the token vault: %w", seq, err)
	}
	if owner != t {
		return "", fault.Errorf(fault.Tampered, "frame %d of the token vault belongs to another tenant", seq)
	}
	value, found := "", false
	err = each(entries, func(_ index, k Token, v []byte) error {
		if k == token {
			value, found = string(v), true
		}
		return nil
	})
	if err == nil && !found {
		err = fault.Errorf(fault.Corrupt, "frame %d of the token vault does not hold the token", seq)
	}
	return value, err
}
