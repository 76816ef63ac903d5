package login

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

const authenticated = "authenticate"

// pam reads MODULE(SERVICE:TYPE): MESSAGE, as modules of PAM write in the log of
// the program that asked them.
func pam(b []byte, o *facts.Out) bool {
	if !bytes.HasPrefix(b, []byte("pam_")) {
		return false
	}
	open := bytes.IndexByte(b[:min(len(b), 40)], '(')
	if open < 0 {
		return false
	}
	end := bytes.IndexByte(b[open:min(len(b), open+80)], ')')
	if end < 0 || !bytes.HasPrefix(b[open+end+1:], []byte(": ")) {
		return false
	}
	service, kind := facts.CutByte(b[open+1:open+end], ':')
	return module(b[:open], service, kind, b[open+end+3:], o)
}

// module reads the message of a module. kind is auth, account, password, session,
// or empty.
func module(name, service, kind, b []byte, o *facts.Out) bool {
	if rest, ok := bytes.CutPrefix(b, []byte("session opened for user ")); ok {
		is(o, PAM, "session_open", facts.Success)
		session(rest, o)
	} else if rest, ok := bytes.CutPrefix(b, []byte("session closed for user ")); ok {
		is(o, PAM, "session_close", facts.Success)
		session(rest, o)
	} else if !verdict(b, o) {
		switch string(kind) {
		case "auth", "account", "session", "password", "setcred", "chauthtok":
		default:
			return false
		}
		is(o, PAM, "", "")
	}
	o.DeriveBytes(field.EventProvider, name)
	o.DeriveBytes(field.ServiceName, service)
	return true
}

// session reads USER[(uid=N)][ by [NAME](uid=N)].
func session(b []byte, o *facts.Out) {
	user, by, _ := bytes.Cut(b, []byte(" by "))
	user, id := account(user)
	name, actor := account(by)
	if len(name) > 0 && !bytes.Equal(name, user) && string(name) != "LOGIN" && (string(actor) != "0" || string(user) != "root") {
		o.DeriveBytes(field.UserName, name)
		o.DeriveBytes(field.UserID, actor)
		o.DeriveBytes(field.UserEffectiveName, user)
		o.DeriveBytes(field.UserEffectiveID, id)
		return
	}
	o.DeriveBytes(field.UserName, user)
	o.DeriveBytes(field.UserID, id)
}

// account splits NAME(uid=N).
func account(b []byte) (name, id []byte) {
	name, rest, _ := bytes.Cut(b, []byte("(uid="))
	id, _ = facts.CutByte(rest, ')')
	return bytes.TrimSpace(name), id
}

// verdict reads how an authentication or an account's check ended.
func verdict(b []byte, o *facts.Out) bool {
	switch {
	case bytes.HasPrefix(b, []byte("authentication failure;")):
		is(o, PAM, authenticated, facts.Failure)
		failure(b[len("authentication failure;"):], o)
	case bytes.HasPrefix(b, []byte("authentication success;")):
		is(o, PAM, authenticated, facts.Success)
		failure(b[len("authentication success;"):], o)
	case bytes.HasPrefix(b, []byte("check pass; user unknown")), bytes.HasPrefix(b, []byte("bad username ")):
		is(o, PAM, authenticated, facts.Failure)
		o.Derive(field.EventReason, "invalid user")
	case bytes.HasPrefix(b, []byte("auth could not identify password for [")):
		user, _, _ := bytes.Cut(b[len("auth could not identify password for ["):], []byte("]"))
		is(o, PAM, authenticated, facts.Failure)
		o.DeriveBytes(field.UserName, user)
		o.Derive(field.EventReason, "no password given")
	case bytes.HasPrefix(b, []byte("conversation failed")):
		is(o, PAM, authenticated, facts.Failure)
		o.Derive(field.EventReason, "conversation failed")
	case bytes.HasPrefix(b, []byte("password changed for ")):
		is(o, PAM, "change password", facts.Success)
		o.DeriveBytes(field.UserTargetName, b[len("password changed for "):])
	case bytes.HasPrefix(b, []byte("requirement \"")):
		requirement(b, o)
	case bytes.HasPrefix(b, []byte("access denied for user ")):
		is(o, PAM, "access", facts.Failure)
		o.Denied("pam")
		user, rest, _ := quoted(b)
		o.DeriveBytes(field.UserName, user)
		from, _, _ := quoted(rest)
		o.DeriveBytes(field.ClientAddress, from)
	case bytes.HasPrefix(b, []byte("Consecutive login failures for user ")):
		user, _ := facts.CutByte(b[len("Consecutive login failures for user "):], ' ')
		is(o, PAM, authenticated, facts.Failure)
		o.Derive(field.EventReason, "account temporarily locked")
		o.DeriveBytes(field.UserName, user)
	case bytes.HasPrefix(b, []byte("account ")):
		user, why := facts.CutByte(b[len("account "):], ' ')
		if !bytes.HasPrefix(why, []byte("has expired")) {
			return false
		}
		is(o, PAM, "access", facts.Failure)
		o.DeriveBytes(field.UserName, user)
		o.DeriveBytes(field.EventReason, why)
	case bytes.HasPrefix(b, []byte("user ")) && bytes.Contains(b, []byte(" tally ")):
		// pam_tally2: "user NAME (UID) tally 6, deny 5" is logged when it refuses.
		user, rest := facts.CutByte(b[len("user "):], ' ')
		is(o, PAM, authenticated, facts.Failure)
		o.DeriveBytes(field.UserName, user)
		if len(rest) > 2 && rest[0] == '(' {
			id, why := facts.CutByte(rest[1:], ')')
			o.DeriveBytes(field.UserID, id)
			reason(why, o)
		}
	default:
		return false
	}
	return true
}

// requirement reads pam_succeed_if's requirement "…" not met by user "NAME".
func requirement(b []byte, o *facts.Out) {
	why, user, met := bytes.Cut(b, []byte(" not met by user \""))
	outcome := facts.Failure
	if !met {
		if why, user, met = bytes.Cut(b, []byte(" was met by user \"")); !met {
			is(o, PAM, "", "")
			return
		}
		outcome = facts.Success
	}
	is(o, PAM, "access", outcome)
	o.DeriveBytes(field.EventReason, why)
	user, _ = facts.CutByte(user, '"')
	o.DeriveBytes(field.UserName, user)
}

// failure reads logname=NAME uid=N euid=N tty=TTY ruser=NAME rhost=HOST [user=NAME].
// user is the account that is asked for, ruser or logname who asks: on the same
// machine alone, from afar it is what the client claims.
func failure(b []byte, o *facts.Out) {
	var logname, ruser, user, rhost, uid []byte
	for len(b) > 0 {
		var pair []byte
		b = bytes.TrimLeft(b, " ")
		pair, b = facts.CutByte(b, ' ')
		key, v := facts.CutByte(pair, '=')
		switch string(key) {
		case "logname":
			logname = v
		case "uid":
			uid = v
		case "tty":
			if len(v) > 0 && string(v) != "ssh" && !bytes.HasPrefix(v, []byte("NODEV")) {
				o.DeriveBytes(field.ProcessTTY, v)
			}
		case "ruser":
			ruser = v
		case "rhost":
			rhost = v
		case "user":
			user = v
		}
	}
	o.DeriveBytes(field.ClientAddress, rhost)
	o.NetworkType(rhost)
	asks := ruser
	if len(asks) == 0 {
		asks = logname
	}
	if len(rhost) == 0 && len(asks) > 0 {
		o.DeriveBytes(field.UserName, asks)
		if string(uid) != "0" {
			o.DeriveBytes(field.UserID, uid)
		}
		if !bytes.Equal(asks, user) {
			o.DeriveBytes(field.UserEffectiveName, user)
		}
		return
	}
	o.DeriveBytes(field.UserName, user)
}
