package kubernetes

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// The members that an event of the cluster is put together from.
const (
	_ table.Slot = iota
	kind
	name
	space
	place // namespace of the event's own object
	path
	sort
	component
	controller
	host
	last
	lastSeen
	occurred
	first
	made
)

var eventFormat = facts.Format{Name: "k8s-event", Platform: "kubernetes", Kind: facts.Host, Of: "events of a Kubernetes cluster, v1 and events.k8s.io/v1, of kubectl, event exporters, eventrouter and watches"}

// What exporters and watches put around an event.
var eventTables = []*table.Table{coreEvent(""), newEvent(""), coreEvent("event."), newEvent("event."), coreEvent("object."), newEvent("object.")}

// coreEvent is the Event of v1.
func coreEvent(at string) *table.Table {
	t := &table.Table{
		Format: eventFormat,
		All:    [][]string{{at + "involvedObject.kind"}, {at + "involvedObject.name", at + "involvedObject.uid"}, {at + "reason", at + "message"}, {at + "type", at + "source.component", at + "metadata.name"}},
		Keys:   eventKeys(at, "involvedObject."),
		Finish: finishEvent,
	}
	for name, r := range map[string]table.Rule{
		"message": table.Text(field.Body), "count": table.Int(field.K8sEventCount),
		"source.component": table.Text(field.EventProvider).At(component), "source.host": table.Text(field.K8sNodeName).At(host),
		"reportingComponent": table.Own().At(controller),
		"firstTimestamp":     table.Take(first), "lastTimestamp": table.Take(last),
	} {
		t.Keys[at+name] = r
	}
	return t
}

// newEvent is the Event of events.k8s.io/v1.
func newEvent(at string) *table.Table {
	t := &table.Table{
		Format: eventFormat,
		All:    [][]string{{at + "regarding.kind"}, {at + "regarding.name", at + "regarding.uid"}, {at + "reason", at + "note"}, {at + "type", at + "reportingController", at + "metadata.name"}},
		Keys:   eventKeys(at, "regarding."),
		Finish: finishEvent,
	}
	for name, r := range map[string]table.Rule{
		"note": table.Text(field.Body), "series.count": table.Int(field.K8sEventCount), "deprecatedCount": table.Int(field.K8sEventCount),
		"reportingController":        table.Text(field.EventProvider).At(component),
		"deprecatedSource.component": table.Own().At(controller), "deprecatedSource.host": table.Text(field.K8sNodeName).At(host),
		"deprecatedFirstTimestamp": table.Take(first), "deprecatedLastTimestamp": table.Take(last),
	} {
		t.Keys[at+name] = r
	}
	return t
}

// eventKeys are the rules that both have; of is what the event is about.
func eventKeys(at, of string) map[string]table.Rule {
	keys := map[string]table.Rule{"clusterName": table.Text(field.K8sClusterName)} // of kubernetes-event-exporter
	for name, r := range map[string]table.Rule{
		"metadata.name": table.Text(field.K8sEventName), "metadata.uid": table.Text(field.K8sEventUID),
		"metadata.namespace": table.Own().At(place), "metadata.creationTimestamp": table.Take(made),
		of + "kind": table.Text(field.K8sObjectKind).At(kind), of + "name": table.Text(field.K8sObjectName).At(name),
		of + "namespace": table.Text(field.K8sNamespaceName).At(space), of + "uid": table.Text(field.K8sObjectUID),
		of + "apiVersion": table.Text(field.K8sObjectAPIVersion), of + "fieldPath": table.Text(field.K8sObjectFieldpath).At(path),
		"reason": table.Text(field.K8sEventReason), "action": table.Text(field.K8sEventAction),
		"type": table.Text(field.SeverityText).At(sort), "eventTime": table.Take(occurred), "series.lastObservedTime": table.Take(lastSeen),
	} {
		keys[at+name] = r
	}
	return keys
}

func finishEvent(o *facts.Out, s *table.Slots) {
	timed(o, s, lastSeen, last, occurred, first, made)
	switch {
	case s.Is(sort, "Normal"):
		o.DeriveInt(field.SeverityNumber, 9)
	case s.Is(sort, "Warning"):
		o.DeriveInt(field.SeverityNumber, 13)
	}
	if s.Text(component) == nil {
		o.DeriveBytes(field.EventProvider, s.Text(controller))
	}
	if s.Text(space) == nil && !s.Is(kind, "Node") && !s.Is(kind, "Namespace") {
		o.DeriveBytes(field.K8sNamespaceName, s.Text(place))
	}
	Object(o, s.Text(kind), s.Text(name))
	// spec.containers{web}, and the like of init and ephemeral containers
	if p := s.Text(path); bytes.HasSuffix(p, []byte("}")) {
		_, container := facts.CutByte(p[:len(p)-1], '{')
		o.DeriveBytes(field.K8sContainerName, container)
	}
	o.Derive(field.EventName, "k8s.event")
}
