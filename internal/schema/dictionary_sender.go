package schema

// senderFields is what receivers say of a record beside its platform's fields:
// what the envelope of the protocol holds. Where OpenTelemetry and the Elastic
// Common Schema both have a name, the first is canonical and the second an alias.
var senderFields = []Field{
	{Name: "syslog.facility", Type: Text, Meaning: "Facility by its keyword: kern, user, mail, daemon, auth, …, local7.", Aliases: names(ecs, "log.syslog.facility.name")},
	{Name: "syslog.priority", Type: Integer, Meaning: "PRI as it was sent: facility times 8 and severity.", Aliases: names(ecs, "log.syslog.priority")},
	{Name: "syslog.version", Type: Integer, Meaning: "Version of RFC 5424 that the message names."},
	{Name: "syslog.appname", Type: Text, Meaning: "APP-NAME, or what stands before the brackets of a tag.",
		Aliases: all(names(ecs, "log.syslog.appname"), names(usual, "programname"), names(journald, "SYSLOG_IDENTIFIER"))},
	{Name: "syslog.procid", Type: Text, Meaning: "PROCID, which need not be a number.", Aliases: all(names(ecs, "log.syslog.procid"), names(journald, "SYSLOG_PID"))},
	{Name: "syslog.msgid", Type: Text, Meaning: "MSGID: the kind of message.", Aliases: names(ecs, "log.syslog.msgid")},
	{Name: "syslog.sequence", Type: Integer, Meaning: "Number that a device gave the message."},

	{Name: "systemd.unit", Type: Text, Meaning: "Unit of systemd that the process belongs to.", Aliases: names(journald, "_SYSTEMD_UNIT", "unit"), Also: []string{"_SYSTEMD_UNIT"}},
	{Name: "host.id", Type: Text, Meaning: "Identity of the machine: its machine-id.", Aliases: names(journald, "_MACHINE_ID"), Also: []string{"_MACHINE_ID"}},
	{Name: "process.pid", Type: Integer, Meaning: "Process that wrote the record.", Aliases: all(names(usual, "pid"), names(journald, "_PID")), Also: []string{"pid"}},
	{Name: "process.executable.name", Type: Text, Meaning: "Name of the process's program.", Aliases: all(names(ecs, "process.name"), names(journald, "_COMM")), Also: []string{"process.name"}},
	{Name: "process.executable.path", Type: Text, Meaning: "Path of the process's program.", Aliases: all(names(ecs, "process.executable"), names(journald, "_EXE")), Also: []string{"process.executable"}},
	{Name: "process.command_line", Type: Text, Sensitivity: Personal, Meaning: "Command line of the process, which may name people and hold credentials.", Aliases: names(journald, "_CMDLINE"), Also: []string{"_CMDLINE"}},
	{Name: "thread.id", Type: Integer, Meaning: "Thread that wrote the record.", Aliases: all(names(ecs, "process.thread.id"), names(journald, "TID")), Also: []string{"process.thread.id"}},
	{Name: "code.file.path", Type: Text, Meaning: "Source file that wrote the record.", Aliases: all(names(ecs, "log.origin.file.name"), names(journald, "CODE_FILE"), names(otel, "code.filepath")), Also: []string{"log.origin.file.name", "code.filepath"}},
	{Name: "code.line.number", Type: Integer, Meaning: "Line of it.", Aliases: all(names(ecs, "log.origin.file.line"), names(journald, "CODE_LINE"), names(otel, "code.lineno")), Also: []string{"log.origin.file.line", "code.lineno"}},
	{Name: "code.function.name", Type: Text, Meaning: "Function of it.", Aliases: all(names(ecs, "log.origin.function"), names(journald, "CODE_FUNC"), names(otel, "code.function")), Also: []string{"log.origin.function", "code.function"}},

	{Name: "k8s.audit.verb", Type: Text, Meaning: "What was asked of the Kubernetes API: get, list, watch, create, update, patch, delete, …", Aliases: names(k8sAudit, "verb", "kubernetes.audit.verb")},
	{Name: "k8s.audit.resource", Type: Text, Meaning: "Kind of object that it was asked of, with its subresource: pods/exec.", Aliases: names(k8sAudit, "objectRef.resource", "kubernetes.audit.objectRef.resource")},
	{Name: "k8s.audit.object", Type: Text, Meaning: "Name of the object.", Aliases: names(k8sAudit, "objectRef.name", "kubernetes.audit.objectRef.name")},
	{Name: "k8s.audit.decision", Type: Text, Values: "allow, forbid", Meaning: "What the authorizer decided."},

	{Name: "fluent.tag", Type: Text, Meaning: "Tag by which Fluentd and Fluent Bit route the record."},
	{Name: "fluent.metadata", Type: Text, Sensitivity: Personal, Meaning: "Metadata that Fluent Bit sent with the record, as JSON."},
	{Name: "full_message", Type: Text, Sensitivity: Personal, Meaning: "GELF's long message; its short one is the body."},
	{Name: "ddsource", Type: Text, Meaning: "Datadog's source: the technology that the record comes from."},
	{Name: "ddtags", Type: Text, Meaning: "Datadog's tags that became no fields, comma-separated."},
	{Name: "datadog.track", Type: Text, Meaning: "Track of Datadog's intake that the record came by, where it was not logs."},
	{Name: "com.splunk.source", Type: Text, Meaning: "Splunk's source: the file, stream or input that the record comes from."},
	{Name: "com.splunk.sourcetype", Type: Text, Meaning: "Splunk's source type: the format of the record.", Aliases: names(usual, "sourcetype")},
	{Name: "com.splunk.index", Type: Text, Meaning: "Splunk's index that the sender named."},
	{Name: "com.splunk.fields", Type: Text, Sensitivity: Personal, Meaning: "Splunk's indexed fields when they could not be told apart, as they were sent."},
	{Name: "elastic.index", Type: Text, Meaning: "Index or data stream of Elasticsearch that the sender named.", Aliases: names(usual, "_index")},
	{Name: "elastic.id", Type: Text, Meaning: "Identity of the document, as the sender gave it.", Aliases: names(usual, "_id")},
	{Name: "cloud.account.id", Type: Text, Meaning: "Account of the cloud that the record comes from."},
	{Name: "aws.log.group.names", Type: Text, Meaning: "Log group of CloudWatch.", Aliases: names(ecs, "aws.cloudwatch.log_group", "awscloudwatch.log_group"), Also: []string{"aws.cloudwatch.log_group"}},
	{Name: "aws.log.stream.names", Type: Text, Meaning: "Log stream of CloudWatch.", Aliases: names(ecs, "aws.cloudwatch.log_stream", "awscloudwatch.log_stream"), Also: []string{"aws.cloudwatch.log_stream"}},
	{Name: "hubble.relay", Type: Text, Meaning: "Relay that was followed, in records of losses and interruptions."},

	{Name: "counter.target", Type: Text, Meaning: "Proxy whose counters were read: evidence of what there should be records of."},
	{Name: "counter.name", Type: Text, Meaning: "Counter, under its Prometheus name; its labels are counter.label.NAME."},
	{Name: "counter.value", Type: Decimal, Meaning: "What the counter stood at; a whole number is kept as one."},
	{Name: "counter.increase", Type: Decimal, Meaning: "How much it rose since counter.since; absent when it was not known before."},
	{Name: "counter.reset", Type: Boolean, Meaning: "True when it began anew: what it counted in between is unknown."},
	{Name: "counter.since", Type: Text, Meaning: "Time of the reading before, RFC 3339."},
	{Name: "counter.read", Type: Integer, Meaning: "Counters that one reading found."},
	{Name: "counter.moved", Type: Integer, Meaning: "Counters among them that had moved."},
}
