package schema

// proxyFields is what the programs of meshes say beside what every mesh says:
// ztunnel's hops, processes that Tetragon saw, how an audited call ended.
var proxyFields = []Field{
	{Name: "mesh.hop.address", Type: Text, Sensitivity: Personal, Meaning: "Proxy that a tunnelled connection went to, with port, when it is not the destination: ztunnel's HBONE hop."},
	{Name: "mesh.workload.identity", Type: Text, Meaning: "Identity that the proxy which wrote the record proves itself by."},
	{Name: "consul.token.accessor_id", Type: Text, Sensitivity: Personal, Meaning: "Accessor of the ACL token that a call was made with; never the token.", Aliases: names(consul, "payload.auth.accessor_id")},
	{Name: "consul.audit.stage", Type: Text, Values: "OperationStart, OperationComplete", Meaning: "Half of an audited call that Consul tells of.", Aliases: names(consul, "payload.stage")},
	{Name: "messaging.system", Type: Text, Values: "kafka", Meaning: "Messaging system that a request was for."},
	{Name: "messaging.destination.name", Type: Text, Meaning: "Topic or queue of the request.", Aliases: names(hubble, "l7.kafka.topic")},
	{Name: "messaging.operation.name", Type: Text, Meaning: "What was asked of the messaging system, as it calls it: produce, fetch.", Aliases: names(hubble, "l7.kafka.api_key")},
	{Name: "container.id", Type: Text, Meaning: "Container, by the runtime's identity.", Aliases: names(usual, "kubernetes.docker_id"), Also: []string{"kubernetes.docker_id"}},
	{Name: "process.parent_pid", Type: Integer, Meaning: "Process that started the process.", Aliases: names(ecs, "process.parent.pid"), Also: []string{"process.parent.pid"}},
	{Name: "process.exit.code", Type: Integer, Meaning: "Code with which the process ended."},
	{Name: "process.exit.signal", Type: Text, Meaning: "Signal that ended the process."},
	{Name: "process.working_directory", Type: Text, Meaning: "Directory that the process worked in."},
}

// consul owns names of Consul's audit log.
const consul = "Consul audit"
