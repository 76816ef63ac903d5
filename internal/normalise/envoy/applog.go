package envoy

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// ownLog reads what Envoy says of itself in its default --log-format, and reports
// whether the line is such a one:
//
//	[2023-04-18 06:07:52.111][7][info][config] [source/server/x.cc:113] message
//
// Decisions of the RBAC filters become facts.
func ownLog(line []byte, o *facts.Out) bool {
	if len(line) < 30 || line[0] != '[' {
		return false
	}
	var part [4][]byte
	rest := line
	for i := range part {
		end := bytes.IndexByte(rest, ']')
		if len(rest) == 0 || rest[0] != '[' || end < 2 || end > 64 {
			return false
		}
		part[i], rest = rest[1:end], rest[end+1:]
	}
	ns, n := facts.Stamp(part[0])
	if n != len(part[0]) || n < 19 || !number(part[1]) || !facts.IsLevel(part[2]) {
		return false
	}
	o.Format, o.Status = "envoy-log", facts.OK
	o.MeshType("envoy")
	if !o.Fixed && facts.Plausible(ns) {
		o.Time = ns
	}
	o.Severity(part[2])
	o.DeriveBytes(field.LogLogger, part[3])
	if id, ok := facts.Uint(part[1]); ok {
		o.Int(field.ThreadID, id)
	}
	rest = bytes.TrimLeft(rest, " ")
	if at, after, found := bytes.Cut(rest, []byte("] ")); found && sourceLine(bytes.TrimPrefix(at, []byte("[")), o) {
		rest = after
	}
	rbacSaid(rest, o)
	return true
}

// blank cuts the next column, which spaces or tabs separate.
func blank(b []byte) (c, rest []byte) {
	b = bytes.TrimLeft(b, " \t")
	if i := bytes.IndexAny(b, " \t"); i >= 0 {
		return b[:i], b[i:]
	}
	return b, nil
}

// sourceLine writes FILE:LINE, and reports whether b is one.
func sourceLine(b []byte, o *facts.Out) bool {
	i := bytes.LastIndexByte(b, ':')
	if i < 4 {
		return false
	}
	n, ok := facts.Uint(b[i+1:])
	file := b[:i]
	if !ok || !bytes.HasSuffix(file, []byte(".cc")) && !bytes.HasSuffix(file, []byte(".h")) {
		return false
	}
	o.DeriveBytes(field.CodeFilePath, file)
	o.Int(field.CodeLineNumber, n)
	return true
}

// rbacSaid reads what the RBAC filters say of a decision: [SHADOW] enforced|shadow
// allowed|denied[, matched policy NAME].
func rbacSaid(b []byte, o *facts.Out) {
	if i := bytes.Index(b, []byte("enforced ")); i >= 0 && i < 64 {
		b = b[i:]
	} else if i := bytes.Index(b, []byte("shadow ")); i >= 0 && i < 64 {
		b = b[i:]
	} else {
		return
	}
	kind, rest := blank(b)
	what, rest := blank(rest)
	decisions := [...]struct{ kind, what, decision string }{
		{"enforced", "allowed", "allow"}, {"enforced", "denied", "deny"}, {"shadow", "allowed", "shadow_allow"}, {"shadow", "denied", "shadow_deny"},
	}
	for _, d := range decisions {
		if string(kind) == d.kind && string(bytes.TrimSuffix(what, []byte(","))) == d.what {
			_, policy, _ := bytes.Cut(rest, []byte("matched policy "))
			rbacDecision(o, d.decision, bytes.TrimSpace(policy))
		}
	}
}
