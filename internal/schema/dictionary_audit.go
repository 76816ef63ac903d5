package schema

// auditFields is what audit logs say of an act: who did what to what, from where,
// and how it ended. Where OpenTelemetry has no name it is the Elastic Common
// Schema's.
var auditFields = []Field{
	{Name: "event.action", Type: Text, Meaning: "What was done, as the platform calls it: RunInstances, storage.buckets.update, create pods/exec.",
		Aliases: all(names(cloudtrail, "eventName"), names(gcp, "protoPayload.methodName"), names(azure, "operationName"))},
	{Name: "event.outcome", Type: Text, Values: "success, failure, unknown", Meaning: "How what was done ended, as far as the record can tell."},
	{Name: "event.provider", Type: Text, Meaning: "Service of the platform that was asked: iam.amazonaws.com, compute.googleapis.com, Microsoft.Compute.",
		Aliases: all(names(cloudtrail, "eventSource"), names(gcp, "protoPayload.serviceName"))},
	{Name: "event.reason", Type: Text, Sensitivity: Personal, Meaning: "Why it ended so, in the words of whoever decided, which may name people.", Aliases: names(cloudtrail, "errorMessage")},
	{Name: "error.code", Type: Text, Meaning: "Error as the platform names or numbers it: AccessDenied, 50126.", Aliases: names(cloudtrail, "errorCode")},

	{Name: "user.roles", Type: Text, Meaning: "Roles, groups or policies that the person or account acted with, comma-separated.",
		Aliases: all(names(k8sAudit, "user.groups"), names(ecs, "user.group.name"))},
	{Name: "user.effective.name", Type: Text, Sensitivity: Personal, Meaning: "Whom the person or account acted as, when it was somebody else.", Aliases: names(k8sAudit, "impersonatedUser.username")},
	{Name: "user.effective.id", Type: Text, Sensitivity: Personal, Meaning: "Identity of whom it acted as.", Aliases: names(k8sAudit, "impersonatedUser.uid")},
	{Name: "user.effective.roles", Type: Text, Meaning: "Groups of whom it acted as, comma-separated.", Aliases: names(k8sAudit, "impersonatedUser.groups")},

	{Name: "cloud.provider", Type: Text, Values: "aws, gcp, azure", Meaning: "Cloud that the record is about."},
	{Name: "cloud.availability_zone", Type: Text, Meaning: "Zone of the cloud that the record is about."},
	{Name: "cloud.resource_id", Type: Text, Meaning: "Thing that was acted on, by the cloud's full name: ARN, resource name, resource id.",
		Aliases: all(names(gcp, "protoPayload.resourceName"), names(azure, "resourceId"))},
	{Name: "aws.request_id", Type: Text, Meaning: "Identity that the service of AWS gave the request.", Aliases: names(cloudtrail, "requestID")},
	{Name: "aws.vpc.id", Type: Text, Meaning: "Virtual private cloud of a flow or query.", Aliases: names(aws, "vpc_id", "vpc-id")},
	{Name: "aws.vpc.interface_id", Type: Text, Meaning: "Network interface that saw the flow.", Aliases: names(aws, "interface_id", "interface-id")},
	{Name: "aws.vpc.subnet_id", Type: Text, Meaning: "Subnet of the interface.", Aliases: names(aws, "subnet_id", "subnet-id")},
	{Name: "network.bytes", Type: Integer, Unit: ByteCount, Meaning: "Bytes of a flow, from its source to its destination.", Aliases: united(ByteCount, aws, "bytes")},
	{Name: "network.packets", Type: Integer, Meaning: "Packets of a flow, from its source to its destination.", Aliases: names(aws, "packets")},

	{Name: "k8s.audit.id", Type: Text, Meaning: "Identity of the request to the Kubernetes API; its stages share it.", Aliases: names(k8sAudit, "auditID")},
	{Name: "k8s.audit.level", Type: Text, Values: "None, Metadata, Request, RequestResponse", Meaning: "How much the audit policy of the API server has it tell.", Aliases: names(k8sAudit, "k8s_audit_level")},
	{Name: "k8s.audit.stage", Type: Text, Values: "RequestReceived, ResponseStarted, ResponseComplete, Panic", Meaning: "How far the request was. Count those of one stage: each request has several.", Aliases: names(k8sAudit, "stage")},
	{Name: "k8s.event.reason", Type: Text, Meaning: "Reason of an event of Kubernetes: FailedScheduling, BackOff, Killing."},
	{Name: "k8s.event.action", Type: Text, Meaning: "What the component that reports did."},
	{Name: "k8s.event.count", Type: Integer, Meaning: "How often it happened until then."},
	{Name: "k8s.event.name", Type: Text, Meaning: "Name of the event's object."},
	{Name: "k8s.event.uid", Type: Text, Meaning: "Identity of the event's object."},
	{Name: "k8s.object.kind", Type: Text, Meaning: "Kind of the object that the event is about.", Aliases: names(k8sEvent, "involvedObject.kind", "regarding.kind")},
	{Name: "k8s.object.name", Type: Text, Meaning: "Its name.", Aliases: names(k8sEvent, "involvedObject.name", "regarding.name")},
	{Name: "k8s.object.uid", Type: Text, Meaning: "Its identity.", Aliases: names(k8sEvent, "involvedObject.uid", "regarding.uid")},
	{Name: "k8s.object.api_version", Type: Text, Meaning: "Version of its API.", Aliases: names(k8sEvent, "involvedObject.apiVersion", "regarding.apiVersion")},
	{Name: "k8s.object.fieldpath", Type: Text, Meaning: "Part of the object that the event is about: spec.containers{web}.", Aliases: names(k8sEvent, "involvedObject.fieldPath", "regarding.fieldPath")},
}

// The owners of names in audit logs.
const (
	aws        = "AWS"
	azure      = "Azure"
	cloudtrail = "CloudTrail"
	gcp        = "Google Cloud"
	k8sEvent   = "Kubernetes events"
)
