package receive

// A Severity is one of syslog's (RFC 5424 section 6.2.1), as journald and GELF
// use them too.
type Severity struct {
	Text   string // the keyword that syslog's users know
	Number int64  // on OpenTelemetry's scale (logs data model, appendix B)
}

var severities = [...]Severity{
	{"emerg", 21}, {"alert", 19}, {"crit", 18}, {"err", 17},
	{"warning", 13}, {"notice", 10}, {"info", 9}, {"debug", 5},
}

// SyslogSeverity returns the severity of a code of syslog; ok is false for one
// that is not 0 to 7.
func SyslogSeverity(code int) (s Severity, ok bool) {
	if code < 0 || code >= len(severities) {
		return Severity{}, false
	}
	return severities[code], true
}

var facilities = [...]string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news",
	"uucp", "cron", "authpriv", "ftp", "ntp", "audit", "alert", "clock",
	"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

// SyslogFacility returns the name of a facility of syslog, or "" for a code that
// is none (RFC 5424 section 6.2.1 has 0 to 23).
func SyslogFacility(code int) string {
	if code < 0 || code >= len(facilities) {
		return ""
	}
	return facilities[code]
}
