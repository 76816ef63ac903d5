package schema

// hostFields is what machines say of logins, of acts and of packets: the audit
// daemon, programs behind PAM, the kernel's packet filter, and what security
// products send. Names that OpenTelemetry lacks are the Elastic Common Schema's.
var hostFields = []Field{
	{Name: "auditd.event.id", Type: Text, Meaning: "Time and serial number of the event of Linux's audit that the record is a part of: its lines share it. Unique within a machine.", Aliases: names(auditd, "ID")},
	{Name: "auth.method", Type: Text, Meaning: "How the person or account proved itself: password, publickey, keyboard-interactive/pam, …"},
	{Name: "auth.key.fingerprint", Type: Text, Sensitivity: Personal, Meaning: "Kind and fingerprint of the key or certificate that a login was tried with."},
	{Name: "event.count", Type: Integer, Meaning: "How often the same happened, of one record that stands for several."},
	{Name: "file.path", Type: Text, Sensitivity: Personal, Meaning: "File that was acted on.", Aliases: names(auditd, "name", "path")},
	{Name: "group.name", Type: Text, Meaning: "Group that was changed, or that somebody was added to or taken from."},
	{Name: "observer.ingress.interface.name", Type: Text, Meaning: "Network interface by which the packet came in.", Aliases: names(netfilter, "IN")},
	{Name: "observer.egress.interface.name", Type: Text, Meaning: "Network interface by which the packet goes out.", Aliases: names(netfilter, "OUT")},
	{Name: "observer.vendor", Type: Text, Meaning: "Who made the product that reports."},
	{Name: "observer.product", Type: Text, Meaning: "Product that reports."},
	{Name: "observer.version", Type: Text, Meaning: "Its version."},
	{Name: "process.tty.name", Type: Text, Meaning: "Terminal of the process.", Aliases: names(auditd, "tty", "terminal")},
	{Name: "user.target.name", Type: Text, Sensitivity: Personal, Meaning: "Person, account or group that was changed.", Aliases: names(auditd, "acct")},
	{Name: "user.target.id", Type: Text, Sensitivity: Personal, Meaning: "Its identity."},
}

// The owners of names on machines.
const (
	auditd    = "auditd"
	netfilter = "netfilter"
)
