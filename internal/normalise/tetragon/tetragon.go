// Package tetragon reads what Cilium's Tetragon exports: what processes did on a
// node, as its agent saw it in the kernel (cilium/tetragon api/v1/tetragon).
//
// An event is protojson: {"process_exec":{"process":{…},"parent":{…}},"node_name":…,
// "time":…}, one of several kinds, default values left out. A probe of a policy
// names the policy, and the action that it took of its own: SIGKILL and OVERRIDE
// are denials.
//
// It never panics on bytes from outside and keeps nothing beyond a call.
package tetragon

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// JSON is the name of the format.
const JSON = "tetragon-json"

// kinds are the kinds of events that have a process. The last four are of the
// versions before the probes were public.
var kinds = [...]string{
	"process_exec", "process_exit", "process_kprobe", "process_tracepoint", "process_uprobe", "process_usdt", "process_lsm", "process_loader",
	"process_connect", "process_listen", "process_accept", "process_close",
}

// Slots.
const (
	_ table.Slot = iota
	atBinary
	atArguments
	atPod
	atWorkload
	atAction
	atPolicy
	atFunction
	atExec
	atContainer
	atSignal
	atStatus
)

// Tables are the JSON layouts that this package reads.
var Tables = []*table.Table{{
	Format: facts.Format{Name: JSON, Platform: "tetragon", Kind: facts.Audit, Of: "Cilium's Tetragon, exported events of processes"},
	All:    [][]string{each(".process.exec_id", ".process.pid", ".process.binary"), {"time"}},
	Keys:   rules(),
	Finish: finish,
}}

// each returns the names that end so, of every kind.
func each(ends ...string) (names []string) {
	for _, kind := range kinds {
		for _, end := range ends {
			names = append(names, kind+end)
		}
	}
	return names
}

func rules() map[string]table.Rule {
	m := map[string]table.Rule{"time": table.Time(), "node_name": table.Text(field.K8sNodeName), "cluster_name": table.Text(field.K8sClusterName)}
	for end, r := range map[string]table.Rule{
		".process.exec_id": table.Own().At(atExec), ".process.pid": table.Int(field.ProcessPID), ".process.tid": table.Int(field.ThreadID), ".process.uid": table.Text(field.UserID),
		".process.binary": table.Text(field.ProcessExecutablePath).At(atBinary), ".process.arguments": table.Take(atArguments), ".process.cwd": table.Text(field.ProcessWorkingDirectory),
		".process.pod.namespace": table.Text(field.K8sNamespaceName), ".process.pod.name": table.Text(field.K8sPodName).At(atPod), ".process.pod.workload": table.Take(atWorkload),
		".process.pod.container.id": table.Take(atContainer), ".process.pod.container.name": table.Text(field.K8sContainerName),
		".parent.pid": table.Int(field.ProcessParentPID), ".signal": table.Text(field.ProcessExitSignal).At(atSignal), ".status": table.Int(field.ProcessExitCode).At(atStatus),
		".function_name": table.Text(field.EventAction).At(atFunction), ".policy_name": table.Text(field.MeshPolicyName).At(atPolicy), ".action": table.Own().At(atAction),
		".source_ip": table.Text(field.SourceAddress), ".source_port": table.Int(field.SourcePort), ".destination_ip": table.Text(field.DestinationAddress), ".destination_port": table.Int(field.DestinationPort),
	} {
		for _, kind := range kinds {
			m[kind+end] = r
		}
	}
	return m
}

func finish(o *facts.Out, s *table.Slots) {
	kind := kindOf(s)
	o.Derive(field.EventName, kind)
	if kind == "process_exit" && s.Member(atSignal) == nil && s.Member(atStatus) == nil {
		o.Int(field.ProcessExitCode, 0) // protojson leaves zeros out
	}
	id := s.Text(atContainer) // RUNTIME://ID
	if _, bare, ok := bytes.Cut(id, []byte("://")); ok {
		id = bare
	}
	o.DeriveBytes(field.ContainerID, id)
	workload := s.Text(atWorkload)
	if workload == nil {
		workload = facts.PodWorkload(s.Text(atPod))
	}
	o.DeriveBytes(field.ServiceName, workload)
	command(o, s)
	switch string(s.Text(atAction)) {
	case "KPROBE_ACTION_SIGKILL", "KPROBE_ACTION_OVERRIDE", "KPROBE_ACTION_NOTIFYENFORCER", "KPROBE_ACTION_SIGNAL":
		o.Decision("deny", "tetragon")
	default:
		if s.Text(atPolicy) != nil {
			o.Derive(field.MeshPolicyEngine, "tetragon")
		}
	}
}

// kindOf returns the kind of the event: the first part of its members' names.
func kindOf(s *table.Slots) string {
	for _, at := range [...]table.Slot{atExec, atBinary, atFunction} {
		m := s.Member(at)
		if m == nil {
			continue
		}
		for i, c := range m.Name.Text {
			if c == '.' {
				return m.Name.Text[:i]
			}
		}
	}
	return "process"
}

// command writes the command line: the binary and its arguments, one after the
// other. A very long one stays in two parts.
func command(o *facts.Out, s *table.Slots) {
	binary, arguments := s.Text(atBinary), s.Text(atArguments)
	if binary == nil {
		if m := s.Member(atArguments); m != nil {
			table.Keep(o, m)
		}
		return
	}
	var scratch [1024]byte
	if len(binary)+1+len(arguments) > len(scratch) {
		table.Keep(o, s.Member(atArguments))
		return
	}
	line := append(scratch[:0], binary...)
	if len(arguments) > 0 {
		line = append(append(line, ' '), arguments...)
	}
	o.DeriveBytes(field.ProcessCommandLine, line)
}
