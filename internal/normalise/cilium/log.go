package cilium

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/kv"
)

// LogLine reads logfmt of Cilium's programs. It is anybody's layout: a line is
// Cilium's by its subsys (logrus), by a module of the agent or the operator, or by a
// source within Cilium's tree (slog).
type LogLine struct {
	text []byte // without escapes
}

// Text implements facts.Line.
func (l *LogLine) Text(line []byte, o *facts.Out) bool {
	if !bytes.HasPrefix(line, []byte("level=")) && !bytes.HasPrefix(line, []byte("time=")) && !bytes.HasPrefix(line, []byte("ts=")) {
		return false
	}
	if !cilium(line) && o.Declared != "cilium" {
		return false
	}
	o.Format, o.Status = Log, facts.OK
	s := kv.Scan(line, kv.Words)
	for p, ok := s.Next(); ok; p, ok = s.Next() {
		if p.Flag {
			continue
		}
		v := p.Text(&l.text)
		switch string(p.Key) {
		case "time", "ts":
			if ns, ok := facts.Time(v); !ok {
				o.PartialOf("time")
			} else if !o.Fixed {
				o.Time = ns
			}
		case "msg":
		default:
			known(o, p.Key, v)
		}
	}
	o.MeshType("cilium")
	return true
}

// cilium reports whether a line is of one of Cilium's programs.
func cilium(line []byte) bool {
	if !bytes.Contains(line, []byte("cilium/")) && !bytes.Contains(line, []byte(" subsys=")) && !bytes.Contains(line, []byte(" module=")) {
		return false
	}
	for _, s := range [...]string{" subsys=", " module=agent", " module=operator", " module=health", "/go/src/github.com/cilium/", "source=/cilium/", "github.com/cilium/cilium/"} {
		if bytes.Contains(line, []byte(s)) {
			return true
		}
	}
	return false
}

// known writes a pair under its canonical name, or its own (pkg/logging/logfields).
func known(o *facts.Out, key, v []byte) {
	switch string(key) {
	case "level":
		o.Severity(v)
	case "subsys", "module":
		o.DeriveBytes(field.LogLogger, v)
	case "source":
		if !o.Place(v) {
			o.OwnText(key, v)
		}
	case "error", "err":
		o.DeriveBytes(field.ExceptionMessage, v)
	case "containerID":
		o.DeriveBytes(field.ContainerID, v)
	case "k8sNamespace":
		o.DeriveBytes(field.K8sNamespaceName, v)
	case "k8sPodName", "ciliumEndpointName":
		if ns, pod := facts.CutByte(v, '/'); len(pod) > 0 {
			o.DeriveBytes(field.K8sNamespaceName, ns)
			o.DeriveBytes(field.K8sPodName, pod)
		} else if string(key) == "k8sPodName" {
			o.DeriveBytes(field.K8sPodName, v)
		}
	case "nodeName", "k8sNodeName":
		o.DeriveBytes(field.K8sNodeName, v)
	case "clusterName":
		o.DeriveBytes(field.K8sClusterName, v)
	default:
		o.OwnText(key, v)
	}
}
