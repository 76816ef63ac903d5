package auditd

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// who derives who did it, and as whom. The audit identity (auid) is whoever logged
// in, whatever they became since: it is the person. Without a login it is the
// account that the process runs as.
func (p *pairs) who(o *facts.Out, r role) {
	person, personName := p.auid, p.auidName
	if unset(person) {
		person, personName = nil, nil
	}
	switch r {
	case session:
		p.login(o, person, personName)
		return
	case change:
		o.DeriveBytes(field.UserTargetName, p.acct)
		o.DeriveBytes(field.UserTargetID, p.id)
	case act:
		if p.acct != nil {
			o.DeriveBytes(field.UserTargetName, p.acct)
		}
	}
	acting, actingName := p.euid, []byte(nil)
	if acting == nil {
		acting, actingName = p.uid, p.uidName
	} else if bytes.Equal(p.euid, p.uid) {
		actingName = p.uidName
	}
	if person == nil {
		person, personName = p.uid, p.uidName
	}
	if unset(person) {
		return
	}
	o.DeriveBytes(field.UserID, person)
	o.DeriveBytes(field.UserName, personName)
	if acting != nil && !unset(acting) && !bytes.Equal(acting, person) {
		o.DeriveBytes(field.UserEffectiveID, acting)
		o.DeriveBytes(field.UserEffectiveName, actingName)
	}
}

// login derives who logs in. Programs that let people become somebody else name
// whom they become, all others who comes.
func (p *pairs) login(o *facts.Out, person, personName []byte) {
	if p.id != nil && !unset(p.id) {
		o.DeriveBytes(field.UserID, p.id)
		o.DeriveBytes(field.UserName, p.acct)
		return
	}
	if person != nil && becomes(p.exe) && !bytes.Equal(p.acct, personName) {
		o.DeriveBytes(field.UserID, person)
		o.DeriveBytes(field.UserName, personName)
		o.DeriveBytes(field.UserEffectiveName, p.acct)
		return
	}
	name := p.acct
	if name == nil {
		name = personName
	}
	o.DeriveBytes(field.UserID, person)
	o.DeriveBytes(field.UserName, name)
}

func becomes(exe []byte) bool {
	switch string(facts.Last(exe, '/')) {
	case "su", "sudo", "runuser", "pkexec", "doas", "sudo-rs", "su-rs", "polkit-agent-helper-1", "newgrp", "sg":
		return true
	}
	return false
}

// from derives where it came from.
func (p *pairs) from(o *facts.Out) {
	switch {
	case p.addr != nil:
		o.DeriveBytes(field.ClientAddress, p.addr)
		o.NetworkType(p.addr)
	case p.hostname != nil && facts.IsHost(p.hostname):
		o.DeriveBytes(field.ClientAddress, p.hostname)
	}
}

// what derives what was done.
func (p *pairs) what(o *facts.Out, kind []byte, r role) {
	switch {
	case p.op != nil:
		o.DeriveBytes(field.EventAction, p.op)
	case p.operation != nil:
		o.DeriveBytes(field.EventAction, p.operation)
	case string(kind) == "SYSCALL" || string(kind) == "SECCOMP" || string(kind) == "URINGOP":
		name := p.call
		if name == nil {
			name = syscall(p.arch, p.syscall)
		}
		o.DeriveBytes(field.EventAction, name)
	case len(p.message) > 0 && p.message[len(p.message)-1] != ':' && !bytes.Contains(p.message, []byte("avc: ")):
		o.DeriveBytes(field.EventAction, p.message)
	case r != part && string(kind) != "AVC" && string(kind) != "USER_AVC":
		o.DeriveBytes(field.EventAction, kind)
	}
}

// how derives how it ended. b is what stands behind the id.
func (p *pairs) how(o *facts.Out, kind, b []byte) {
	switch string(p.result) {
	case "success", "yes", "1":
		o.Derive(field.EventOutcome, facts.Success)
	case "failed", "fail", "failure", "no", "0":
		o.Derive(field.EventOutcome, facts.Failure)
	}
	if len(p.exit) > 1 && p.exit[0] == '-' {
		if n, ok := facts.Uint(p.exit[1:]); ok && n < int64(len(errnoNames)) && len(errnoNames[n]) > 1 {
			o.DeriveBytes(field.ErrorCode, errnoNames[n])
		}
	}
	switch {
	case p.apparmor != nil:
		o.DeriveBytes(field.MeshPolicyName, p.profile)
		p.decide(o, "apparmor", string(p.apparmor) == "DENIED", string(p.apparmor) == "ALLOWED", string(p.apparmor) == "AUDIT")
	case string(kind) == "AVC" || string(kind) == "USER_AVC":
		p.selinux(o, b)
	case string(kind) == "SECCOMP":
		// SECCOMP_RET_LOG and _ALLOW let it be; KILL, TRAP and ERRNO do not.
		let := bytes.HasPrefix(p.code, []byte("0x7ff")) && len(p.code) == 10
		p.decide(o, "seccomp", !let && p.code != nil, false, let)
	}
}

// decide derives a decision of the kernel. Complaints are what would have been
// refused if the policy were enforced.
func (p *pairs) decide(o *facts.Out, engine string, denied, complaint, audited bool) {
	switch {
	case denied:
		o.Decision("deny", engine)
		o.Derive(field.EventOutcome, facts.Failure)
	case complaint:
		o.Decision("shadow_deny", engine)
	case audited:
		o.Decision("audit", engine)
	}
}

// selinux reads avc:  denied  { read write } for  ….
func (p *pairs) selinux(o *facts.Out, b []byte) {
	_, b, ok := bytes.Cut(b, []byte("avc: "))
	if !ok {
		return
	}
	b = bytes.TrimLeft(b, " ")
	word, rest := facts.CutByte(b, ' ')
	if from := bytes.IndexByte(rest, '{'); from >= 0 && from < 4 {
		if end := bytes.IndexByte(rest, '}'); end > from {
			o.DeriveBytes(field.EventAction, bytes.TrimSpace(rest[from+1:end]))
		}
	}
	permissive := string(p.permissive) == "1"
	switch {
	case string(word) == "granted":
		o.Decision("allow", "selinux")
		o.Derive(field.EventOutcome, facts.Success)
	case string(word) == "denied" && permissive:
		p.decide(o, "selinux", false, true, false)
	case string(word) == "denied":
		p.decide(o, "selinux", true, false, false)
	}
}
