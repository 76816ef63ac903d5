package login

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// What was done, as event.action has it.
const (
	loggedIn     = "login"
	connected    = "connect"
	disconnected = "disconnect"
)

// sshd reads a message of OpenSSH's daemon.
func sshd(b []byte, o *facts.Out) bool {
	b = bytes.TrimSuffix(b, []byte(" [preauth]"))
	if word, rest := facts.CutByte(b, ' '); string(word) == "error:" || string(word) == "fatal:" {
		o.Severity(word[:5])
		b = rest
	}
	if len(b) < 8 {
		return false
	}
	switch b[0] {
	case 'A', 'F', 'P':
		return sshdLogin(b, o) || sshdMapped(b, o) || sshdRefused(b, o)
	case 'I', 'i', 'm', 'U':
		return sshdNobody(b, o) || sshdRefused(b, o)
	case 'C', 'D', 'R', 'S':
		return sshdGone(b, o) || sshdRefused(b, o)
	}
	return sshdMapped(b, o) || sshdRefused(b, o)
}

// sshdLogin reads Accepted|Failed|Postponed|Partial METHOD for [invalid user ]USER
// from ADDRESS port N ssh2[: KEY].
func sshdLogin(b []byte, o *facts.Out) bool {
	word, rest := facts.CutByte(b, ' ')
	outcome := ""
	switch string(word) {
	case "Accepted":
		outcome = facts.Success
	case "Failed":
		outcome = facts.Failure
	case "Postponed", "Partial":
		outcome = facts.Unknown
	case "PAM:", "PAM":
		return sshdPAM(rest, o)
	default:
		return false
	}
	method, rest, ok := bytes.Cut(rest, []byte(" for "))
	if !ok || bytes.IndexByte(method, ' ') >= 0 {
		return false
	}
	user, from, ok := cutLast(rest, " from ")
	if !ok {
		return false
	}
	is(o, SSHD, loggedIn, outcome)
	o.DeriveBytes(field.AuthMethod, method)
	who(user, o)
	after, ok := peer(from, o)
	if !ok {
		o.Partial()
	}
	if key, ok := bytes.CutPrefix(after, []byte("ssh2: ")); ok {
		o.DeriveBytes(field.AuthKeyFingerprint, key)
		o.Derive(field.NetworkProtocolName, "ssh")
	} else if bytes.HasPrefix(after, []byte("ssh")) {
		o.Derive(field.NetworkProtocolName, "ssh")
	}
	return true
}

// sshdPAM reads PAM: WHY for [illegal user ]USER from HOST, and PAM N more
// authentication failures; ….
func sshdPAM(b []byte, o *facts.Out) bool {
	if n, rest := facts.CutByte(b, ' '); bytes.HasPrefix(rest, []byte("more authentication failure")) {
		count, ok := facts.Uint(n)
		_, pairs, found := bytes.Cut(rest, []byte("; "))
		if !ok || !found {
			return false
		}
		is(o, SSHD, authenticated, facts.Failure)
		o.DeriveInt(field.EventCount, count)
		failure(pairs, o)
		return true
	}
	rest, from, ok := cutLast(b, " from ")
	why, user, found := bytes.Cut(rest, []byte(" for "))
	if !ok || !found {
		return false
	}
	is(o, SSHD, loggedIn, facts.Failure)
	reason(why, o)
	who(bytes.TrimPrefix(user, []byte("illegal user ")), o)
	peer(from, o)
	return true
}

// sshdNobody reads what sshd says of people whom it does not let in: Invalid user
// USER from ADDRESS port N, User USER from HOST not allowed because …, maximum
// authentication attempts exceeded for USER from ….
func sshdNobody(b []byte, o *facts.Out) bool {
	for _, begin := range [...]string{"Invalid user ", "Illegal user ", "input_userauth_request: invalid user "} {
		rest, ok := bytes.CutPrefix(b, []byte(begin))
		if !ok {
			continue
		}
		user, from, found := cutLast(rest, " from ")
		if !found {
			user, from = rest, nil
			if u, ok := bytes.CutPrefix(rest, []byte("from ")); ok { // no name at all
				user, from = nil, u
			}
		}
		is(o, SSHD, loggedIn, facts.Failure)
		o.Derive(field.EventReason, "invalid user")
		o.DeriveBytes(field.UserName, user)
		peer(from, o)
		return true
	}
	if rest, ok := bytes.CutPrefix(b, []byte("maximum authentication attempts exceeded for ")); ok {
		user, from, _ := cutLast(rest, " from ")
		is(o, SSHD, loggedIn, facts.Failure)
		who(user, o)
		if !o.Has(field.EventReason) {
			o.Derive(field.EventReason, "maximum authentication attempts exceeded")
		}
		peer(from, o)
		return true
	}
	rest, ok := bytes.CutPrefix(b, []byte("User "))
	user, why, found := bytes.Cut(rest, []byte(" not allowed because "))
	if !ok || !found {
		return false
	}
	user, from, _ := cutLast(user, " from ")
	is(o, SSHD, loggedIn, facts.Failure)
	o.Denied("sshd")
	o.DeriveBytes(field.UserName, user)
	reason(why, o)
	peer(from, o)
	return true
}

// sshdGone reads the end of connections, and their beginning.
func sshdGone(b []byte, o *facts.Out) bool {
	for _, m := range [...]struct{ begin, action, why string }{
		{"Connection closed by ", disconnected, ""},
		{"Connection reset by ", disconnected, "connection reset"},
		{"Disconnected from ", disconnected, ""},
		{"Disconnecting ", disconnected, ""},
		{"Received disconnect from ", disconnected, ""},
		{"Connection from ", connected, ""},
		{"Close session: user ", "session_close", ""},
	} {
		rest, ok := bytes.CutPrefix(b, []byte(m.begin))
		if !ok {
			continue
		}
		user, at, named := userBefore(rest)
		if m.action == "session_close" {
			if user, at, named = cutLast(rest, " from "); !named {
				return false
			}
		}
		if !named {
			at = rest
		}
		word, _ := facts.CutByte(at, ' ')
		if !address(bytes.TrimRight(word, ":,")) {
			return false
		}
		is(o, SSHD, m.action, "")
		who(user, o)
		after, _ := peer(at, o)
		if m.why != "" {
			o.Derive(field.EventReason, m.why)
		}
		if m.action == disconnected && len(after) > 1 && !o.Has(field.EventReason) {
			reason(bytes.TrimLeft(after, ":0123456789 "), o)
		}
		return true
	}
	if rest, ok := bytes.CutPrefix(b, []byte("Disconnecting: ")); ok {
		is(o, SSHD, disconnected, "")
		reason(rest, o)
		if _, user, ok := bytes.Cut(rest, []byte(" authentication failures for ")); ok {
			o.DeriveBytes(field.UserName, bytes.TrimPrefix(user, []byte("invalid user ")))
		}
		return true
	}
	rest, ok := bytes.CutPrefix(b, []byte("Starting session: "))
	if !ok {
		return false
	}
	what, rest, _ := bytes.Cut(rest, []byte(" for "))
	user, from, ok := cutLast(rest, " from ")
	if !ok {
		return false
	}
	is(o, SSHD, "session_open", facts.Success)
	if _, tty, ok := bytes.Cut(what, []byte(" on ")); ok {
		o.DeriveBytes(field.ProcessTTY, tty)
	}
	o.DeriveBytes(field.UserName, user)
	peer(from, o)
	return true
}

// userBefore splits [authenticating|invalid ]user NAME ADDRESS port N. A name may
// hold spaces.
func userBefore(b []byte) (user, at []byte, ok bool) {
	i := bytes.Index(b, []byte("user "))
	if i < 0 || i > 24 {
		return nil, b, false
	}
	at = b[i+5:]
	end := bytes.LastIndex(at, []byte(" port "))
	if end < 0 {
		end = len(at)
	}
	from := bytes.LastIndexByte(at[:end], ' ')
	if from < 0 {
		return nil, at, true
	}
	if i > 0 && string(b[:i]) == "invalid " {
		return b[:i+5+from], at[from+1:], true // who tells that nobody has the name
	}
	return at[:from], at[from+1:], true
}

// who writes a user, or of "invalid user NAME" the name and that nobody has it.
func who(user []byte, o *facts.Out) {
	if name, ok := bytes.CutPrefix(user, []byte("invalid user ")); ok {
		o.Derive(field.EventReason, "invalid user")
		user = name
	}
	o.DeriveBytes(field.UserName, user)
}

// refusals are how sshd says that it did not speak to somebody. What stands behind
// is ADDRESS port N, but for what follows from.
var refusals = []struct{ begin, from, why string }{
	{"Unable to negotiate with ", "", ""},
	{"Did not receive identification string from ", "", "no identification string"},
	{"Bad protocol version identification ", " from ", "bad protocol version"},
	{"banner exchange: Connection from ", "", ""},
	{"Timeout before authentication for connection from ", "", "timeout before authentication"},
	{"Timeout before authentication for ", "", "timeout before authentication"},
	{"Protocol major versions differ for ", "", "protocol versions differ"},
	{"Unable to negotiate a key exchange method with ", "", ""},
	{"Bad packet length ", " from ", "bad packet length"},
	{"ssh_dispatch_run_fatal: Connection from ", "", ""},
	{"drop connection #", " from [", "too many connections"},
	{"Authentication refused: ", "", ""},
	{"beginning MaxStartups throttling", "", ""},
}

func sshdRefused(b []byte, o *facts.Out) bool {
	if rest, ok := bytes.CutPrefix(b, []byte("refused connect from ")); ok {
		is(o, SSHD, connected, facts.Failure)
		o.Denied("tcp-wrappers")
		if open := bytes.IndexByte(rest, '('); open >= 0 && rest[len(rest)-1] == ')' {
			rest = rest[open+1 : len(rest)-1]
		}
		peer(rest, o)
		return true
	}
	for i := range refusals {
		r := &refusals[i]
		rest, ok := bytes.CutPrefix(b, []byte(r.begin))
		if !ok {
			continue
		}
		if r.from != "" {
			if _, rest, ok = bytes.Cut(rest, []byte(r.from)); !ok {
				return false
			}
		}
		is(o, SSHD, connected, facts.Failure)
		word, _ := facts.CutByte(rest, ' ')
		if i := bytes.Index(word, []byte("]:")); i > 0 && r.why == "too many connections" {
			peer(word[:i], o)
			if n, ok := facts.Uint(word[i+2:]); ok && n < 1<<16 {
				o.DeriveInt(field.ClientPort, n)
			}
			o.Derive(field.EventReason, r.why)
			return true
		}
		after, ok := peer(rest, o)
		if !ok {
			reason(rest, o)
			return true
		}
		if r.why != "" {
			o.Derive(field.EventReason, r.why)
		} else {
			reason(bytes.TrimLeft(after, ": "), o)
		}
		return true
	}
	return false
}

// sshdMapped reads what sshd says of names that do not lead back to an address.
func sshdMapped(b []byte, o *facts.Out) bool {
	if rest, ok := bytes.CutPrefix(b, []byte("Address ")); ok && bytes.Contains(rest, []byte(" maps to ")) {
		is(o, SSHD, "address_check", facts.Failure)
		word, why := facts.CutByte(rest, ' ')
		peer(word, o)
		reason(why, o)
		return true
	}
	rest, ok := bytes.CutPrefix(b, []byte("reverse mapping checking getaddrinfo for "))
	if !ok {
		return false
	}
	open, end := bytes.IndexByte(rest, '['), bytes.IndexByte(rest, ']')
	is(o, SSHD, "address_check", facts.Failure)
	if open >= 0 && end > open {
		peer(rest[open+1:end], o)
	}
	o.Derive(field.EventReason, "reverse mapping failed")
	return true
}

// cutLast cuts b around the last sep.
func cutLast(b []byte, sep string) (before, after []byte, ok bool) {
	i := bytes.LastIndex(b, []byte(sep))
	if i < 0 {
		return b, nil, false
	}
	return b[:i], b[i+len(sep):], true
}
