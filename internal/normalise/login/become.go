package login

import (
	"bytes"
	"strings"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// sudo reads NAME : [WHY ; ]TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/bin/ls,
// and what doas and pkexec write.
func sudo(b []byte, o *facts.Out) bool {
	b = bytes.TrimLeft(b, " ")
	user, rest, ok := bytes.Cut(b, []byte(" : "))
	if !ok {
		return pkexec(b, o) || doas(b, o)
	}
	if len(user) > 64 || bytes.IndexByte(user, ' ') >= 0 || !bytes.Contains(rest, []byte("=")) {
		return false
	}
	is(o, Sudo, "sudo", facts.Success)
	o.DeriveBytes(field.UserName, user)
	if bytes.HasPrefix(rest, []byte("(command continued) ")) {
		o.DeriveBytes(field.ProcessCommandLine, rest[len("(command continued) "):])
		return true
	}
	for len(rest) > 0 {
		if v, ok := bytes.CutPrefix(rest, []byte("COMMAND=")); ok { // the last one
			o.DeriveBytes(field.ProcessCommandLine, v)
			break
		}
		var part []byte
		part, rest, _ = bytes.Cut(rest, []byte(" ; "))
		key, v, ok := bytes.Cut(part, []byte("="))
		switch {
		case !ok || bytes.IndexByte(key, ' ') >= 0:
			o.Derive(field.EventOutcome, facts.Failure)
			reason(part, o)
			if bytes.Contains(part, []byte("NOT in sudoers")) || bytes.Contains(part, []byte("not allowed")) || bytes.Contains(part, []byte("NOT authorized")) {
				o.Denied("sudo")
			}
		case string(key) == "TTY":
			if string(v) != "unknown" {
				o.DeriveBytes(field.ProcessTTY, v)
			}
		case string(key) == "PWD":
			if string(v) != "unknown" {
				o.DeriveBytes(field.ProcessWorkingDirectory, v)
			}
		case string(key) == "USER":
			o.DeriveBytes(field.UserEffectiveName, v)
		case string(key) == "GROUP":
			o.DeriveBytes(field.UserEffectiveRoles, v)
		}
	}
	return true
}

// pkexec reads NAME: Executing command [USER=root] [TTY=unknown] [CWD=/] [COMMAND=/bin/ls].
func pkexec(b []byte, o *facts.Out) bool {
	user, rest, ok := bytes.Cut(b, []byte(": "))
	what, pairs, found := bytes.Cut(rest, []byte(" ["))
	if !ok || !found || bytes.IndexByte(user, ' ') >= 0 || !bytes.HasPrefix(pairs, []byte("USER=")) {
		return false
	}
	is(o, Sudo, "pkexec", facts.Success)
	if !bytes.Equal(what, []byte("Executing command")) {
		o.Derive(field.EventOutcome, facts.Failure)
		reason(what, o)
	}
	o.DeriveBytes(field.UserName, user)
	for len(pairs) > 0 {
		var part []byte
		part, pairs, _ = bytes.Cut(pairs, []byte("] ["))
		key, v := facts.CutByte(bytes.TrimSuffix(part, []byte("]")), '=')
		switch string(key) {
		case "USER":
			o.DeriveBytes(field.UserEffectiveName, v)
		case "TTY":
			if string(v) != "unknown" {
				o.DeriveBytes(field.ProcessTTY, v)
			}
		case "CWD":
			o.DeriveBytes(field.ProcessWorkingDirectory, v)
		case "COMMAND":
			o.DeriveBytes(field.ProcessCommandLine, v)
		}
	}
	return true
}

// doas reads NAME ran command LINE as USER from DIRECTORY, and its refusals.
func doas(b []byte, o *facts.Out) bool {
	if user, ok := bytes.CutPrefix(b, []byte("failed auth for ")); ok {
		is(o, Sudo, "doas", facts.Failure)
		o.DeriveBytes(field.UserName, user)
		return true
	}
	if rest, ok := bytes.CutPrefix(b, []byte("command not permitted for ")); ok {
		user, line, _ := bytes.Cut(rest, []byte(": "))
		is(o, Sudo, "doas", facts.Failure)
		o.Denied("doas")
		o.DeriveBytes(field.UserName, user)
		o.DeriveBytes(field.ProcessCommandLine, line)
		return true
	}
	user, rest, ok := bytes.Cut(b, []byte(" ran command "))
	if !ok || bytes.IndexByte(user, ' ') >= 0 {
		return false
	}
	is(o, Sudo, "doas", facts.Success)
	o.DeriveBytes(field.UserName, user)
	rest, from, _ := cutLast(rest, " from ")
	o.DeriveBytes(field.ProcessWorkingDirectory, from)
	line, as, ok := cutLast(rest, " as ")
	o.DeriveBytes(field.ProcessCommandLine, line)
	if ok {
		o.DeriveBytes(field.UserEffectiveName, as)
	}
	return true
}

// su reads what the su of util-linux, of shadow and of BSD write.
func su(b []byte, o *facts.Out) bool {
	outcome := facts.Success
	for _, failed := range [...]string{"FAILED SU ", "FAILED su ", "BAD SU "} {
		if rest, ok := bytes.CutPrefix(b, []byte(failed)); ok {
			b, outcome = rest, facts.Failure
		}
	}
	if rest, ok := bytes.CutPrefix(b, []byte("(to ")); ok { // (to root) alice on pts/0
		as, rest, ok := bytes.Cut(rest, []byte(") "))
		user, tty, on := cutLast(rest, " on ")
		return ok && on && became(o, outcome, user, as, tty)
	}
	b = bytes.TrimPrefix(b, []byte("Successful su "))
	if rest, ok := bytes.CutPrefix(b, []byte("for ")); ok { // for root by alice
		as, user, ok := bytes.Cut(rest, []byte(" by "))
		return ok && became(o, outcome, user, as, nil)
	}
	if len(b) > 4 && (b[0] == '+' || b[0] == '-') && b[1] == ' ' { // + pts/0 alice:root
		if b[0] == '-' {
			outcome = facts.Failure
		}
		tty, pair := facts.CutByte(b[2:], ' ')
		user, as, ok := bytes.Cut(pair, []byte(":"))
		if string(tty) == "???" {
			tty = nil
		}
		return ok && became(o, outcome, user, as, tty)
	}
	user, rest, ok := bytes.Cut(b, []byte(" to ")) // alice to root on /dev/pts/0
	as, tty, on := cutLast(rest, " on ")
	return ok && on && became(o, outcome, user, as, tty)
}

func became(o *facts.Out, outcome string, user, as, tty []byte) bool {
	if bytes.IndexByte(user, ' ') >= 0 || bytes.IndexByte(as, ' ') >= 0 || len(as) == 0 {
		return false
	}
	is(o, Su, "su", outcome)
	o.DeriveBytes(field.UserName, user)
	o.DeriveBytes(field.UserEffectiveName, as)
	if string(tty) != "none" {
		o.DeriveBytes(field.ProcessTTY, tty)
	}
	return true
}

// login reads what login of util-linux and systemd-logind write.
func login(b []byte, o *facts.Out) bool {
	if rest, ok := bytes.CutPrefix(b, []byte("New session ")); ok {
		id, rest, ok := bytes.Cut(rest, []byte(" of user "))
		if !ok || bytes.IndexByte(id, ' ') >= 0 {
			return false
		}
		user, _, _ := bytes.Cut(rest, []byte(" "))
		is(o, Login, "session_open", facts.Success)
		o.DeriveBytes(field.UserName, bytes.TrimRight(user, "."))
		return true
	}
	if bytes.HasPrefix(b, []byte("Removed session ")) {
		is(o, Login, "session_close", facts.Success)
		return true
	}
	if bytes.HasPrefix(b, []byte("Session ")) && bytes.Contains(b, []byte(" logged out")) {
		is(o, Login, "logout", facts.Success)
		return true
	}
	if rest, ok := bytes.CutPrefix(b, []byte("FAILED LOGIN ")); ok {
		is(o, Login, loggedIn, facts.Failure)
		_, who, _ := bytes.Cut(rest, []byte(" FOR "))
		user, why, _ := bytes.Cut(who, []byte(", "))
		o.DeriveBytes(field.UserName, bytes.Trim(user, "'`"))
		reason(why, o)
		if _, tty, ok := bytes.Cut(rest, []byte(" on '")); ok {
			tty, _ = facts.CutByte(tty, '\'')
			o.DeriveBytes(field.ProcessTTY, tty)
		}
		return true
	}
	root := bytes.HasPrefix(b, []byte("ROOT LOGIN "))
	if rest, ok := bytes.CutPrefix(bytes.TrimPrefix(b, []byte("ROOT ")), []byte("LOGIN ON ")); ok {
		tty, rest := facts.CutByte(bytes.TrimLeft(rest, " "), ' ')
		is(o, Login, loggedIn, facts.Success)
		o.DeriveBytes(field.ProcessTTY, tty)
		rest, host, _ := bytes.Cut(rest, []byte("FROM "))
		if user, ok := bytes.CutPrefix(rest, []byte("BY ")); ok {
			o.DeriveBytes(field.UserName, bytes.TrimSpace(user))
		} else if root {
			o.Derive(field.UserName, "root")
		}
		o.DeriveBytes(field.ClientAddress, host)
		return true
	}
	return false
}

// accounts are how shadow-utils says what it did to whom. The name stands in quotes
// or behind name=.
var accounts = []struct{ begin, action string }{
	{"new user: ", "new user"}, {"new group: ", "new group"}, {"delete user ", "delete user"}, {"add ", "add to group"}, {"delete ", "delete from group"},
	{"change user ", "change user"}, {"change admin of group ", "change group"}, {"lock user ", "lock user"}, {"unlock user ", "unlock user"}, {"removed group ", "delete group"},
	{"removed shadow group ", "delete group"}, {"group added to ", "new group"}, {"group ", "change group"}, {"password for ", "change password"}, {"changed password expiry for ", "change password expiry"},
	{"changed user ", "change user"}, {"failed adding user ", "new user"}, {"failed adding group ", "new group"}, {"members of group ", "change group"}, {"user ", "change group"},
}

// shadow reads what useradd, usermod, passwd and their kin write.
func shadow(b []byte, o *facts.Out) bool {
	for i := range accounts {
		m := &accounts[i]
		rest, ok := bytes.CutPrefix(b, []byte(m.begin))
		if !ok {
			continue
		}
		name, after, found := quoted(rest)
		if i := bytes.Index(rest, []byte("name=")); i >= 0 {
			name, after = facts.CutByte(rest[i+5:], ',')
			name, found = bytes.TrimSpace(name), true
		}
		by := []byte(nil)
		if !found { // changed password expiry for bob; user bob added by root to group wheel
			name, after = facts.CutByte(rest, ' ')
			_, by, _ = bytes.Cut(after, []byte(" by "))
			by, _ = facts.CutByte(by, ' ')
			if len(name) == 0 || m.begin == "user " && len(by) == 0 || m.begin == "add " || m.begin == "delete " || m.begin == "group " {
				return false
			}
		} else if _, actor, ok := bytes.Cut(after, []byte(" by ")); ok {
			by, _, _ = quoted(actor)
		}
		outcome := facts.Success
		if strings.HasPrefix(m.begin, "failed") {
			outcome = facts.Failure
		}
		is(o, Shadow, m.action, outcome)
		o.DeriveBytes(field.UserName, by)
		if strings.HasSuffix(m.action, "group") && strings.Contains(m.begin, "group") {
			o.DeriveBytes(field.GroupName, name)
			return true
		}
		o.DeriveBytes(field.UserTargetName, name)
		if _, group, ok := bytes.Cut(after, []byte("group ")); ok {
			if in, _, ok := quoted(group); ok {
				group = in
			}
			o.DeriveBytes(field.GroupName, group)
		}
		for _, key := range [...]string{" UID=", " GID="} {
			if _, id, ok := bytes.Cut(rest, []byte(key)); ok {
				id, _ = facts.CutByte(id, ',')
				o.DeriveBytes(field.UserTargetID, id)
				break
			}
		}
		return true
	}
	return false
}

// cron reads (USER) VERB (WHAT).
func cron(b []byte, o *facts.Out) bool {
	if len(b) < 6 || b[0] != '(' {
		return false
	}
	user, rest, ok := bytes.Cut(b[1:], []byte(") "))
	verb, what, found := bytes.Cut(rest, []byte(" ("))
	if !ok || !found || len(user) > 64 || len(verb) == 0 || len(verb) > 40 || what[len(what)-1] != ')' {
		return false
	}
	is(o, Cron, "", "")
	o.DeriveBytes(field.EventAction, verb)
	if string(user) != "CRON" && string(user) != "*system*" {
		o.DeriveBytes(field.UserName, user)
	}
	switch what = what[:len(what)-1]; {
	case string(verb) == "CMD" || string(verb) == "CMDEND":
		o.DeriveBytes(field.ProcessCommandLine, bytes.TrimSpace(what))
	case bytes.HasPrefix(verb, []byte("FAILED")), string(verb) == "AUTH", string(verb) == "ERROR":
		o.Derive(field.EventOutcome, facts.Failure)
		reason(what, o)
	}
	return true
}
