package config

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/forward"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/policy"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/receive/filetail"
)

// Agent is everything that can be configured about an agent:
//
//	name: node-7                # default: the host's name
//	data: /var/lib/meshtrail-agent
//	forward:
//	  url: https://logs.example:7420
//	  token_file: /etc/meshtrail/agent.token
//	  ca_file: /etc/meshtrail/ca.pem
//	inputs:
//	  files:
//	    - name: pods
//	      paths: [/var/log/pods/*/*/*.log]
type Agent struct {
	// Name tells this agent from others: 1 to 40 printable bytes.
	Name string `yaml:"name"`
	// Data is the folder of the agent's spool, keys and checkpoints. It is made
	// when it is missing.
	Data string `yaml:"data"`
	// Log is the agent's own log, on standard error.
	Log Log `yaml:"log"`
	// Forward names the server.
	Forward AgentForward `yaml:"forward"`
	// Spool is the disk buffer between reading and sending.
	Spool AgentSpool `yaml:"spool"`
	// Inputs are what the agent reads.
	Inputs AgentInputs `yaml:"inputs"`
	// Formats are access log formats of Envoy or NGINX that operators wrote themselves.
	Formats []pipeline.Format `yaml:"formats"`
	// Policy is applied before anything is written.
	Policy policy.Config `yaml:"policy"`
}

// AgentForward says where the records go.
type AgentForward struct {
	forward.Config `yaml:",inline"`
	// TokenFile holds the credential. It is read for every request, so a
	// replaced token is used at once.
	TokenFile string `yaml:"token_file"`
	// CAFile holds the PEM certificates to trust instead of the system's.
	CAFile string `yaml:"ca_file"`
}

// AgentSpool says how much may wait on disk.
type AgentSpool struct {
	// MaxBytes bounds the batches that the server does not have yet; beyond it
	// the agent stops reading. Nothing is dropped.
	MaxBytes int64 `yaml:"max_bytes"`
}

// AgentInputs lists the inputs by kind.
type AgentInputs struct {
	Files []filetail.Config `yaml:"files"`
}

// DefaultAgent returns the configuration of an empty file. It is not whole: an
// agent needs a server, a credential and an input.
func DefaultAgent() *Agent {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "agent"
	}
	return &Agent{
		Name:    host[:min(len(host), 40)],
		Data:    "/var/lib/meshtrail-agent",
		Log:     Log{Level: "info", Format: "text"},
		Forward: AgentForward{Config: forward.Config{}.WithDefaults()},
		Spool:   AgentSpool{MaxBytes: 4 << 30},
		Policy:  policy.Config{Language: query.Selectors{}},
	}
}

// LoadAgent reads the configuration file of an agent. Its problems are Problems.
func LoadAgent(path string) (*Agent, error) { return load(path, ParseAgent) }

// ParseAgent reads the configuration of an agent from its bytes.
func ParseAgent(data []byte) (*Agent, error) {
	a := DefaultAgent()
	places, problems := decode(data, a)
	problems = append(problems, a.validate(places)...)
	if err := problems.orNil(); err != nil {
		return nil, err
	}
	return a, nil
}

// validate asks every part.
func (a *Agent) validate(places map[string]place) (out Problems) {
	add := func(path string, err error) {
		for _, e := range flatten(err) {
			out = append(out, problemOf(path, e, places))
		}
	}
	add("", a.check())
	add("log", a.Log.Validate())
	add("forward", a.Forward.Validate())
	add("", checkFormats(a.Formats))
	add("policy", a.Policy.ValidateAgent())
	names := make(map[string]bool)
	for i, in := range a.Inputs.Files {
		path := "inputs.files[" + strconv.Itoa(i) + "]"
		add(path, in.Validate())
		name := in.WithDefaults().Name
		if names[name] {
			add(path, fault.WithHint(fault.Errorf(fault.Invalid, "a second input has the name %q", name), "give each input a name of its own; its checkpoint is kept under it"))
		}
		names[name] = true
	}
	return out
}

// check reports what concerns the agent as a whole.
func (a *Agent) check() error {
	var errs []error
	bad := func(hint, format string, args ...any) {
		errs = append(errs, fault.WithHint(fault.Errorf(fault.Invalid, format, args...), hint))
	}
	if a.Name == "" || len(a.Name) > 40 {
		bad("choose a name of 1 to 40 bytes that no other agent has", "agent name %q", a.Name)
	}
	for _, c := range []byte(a.Name) {
		if c <= ' ' || c > '~' || c == '/' {
			bad("use letters, digits, - and .", "agent name %q has a byte that is not printable, or a slash", a.Name)
			break
		}
	}
	if !filepath.IsAbs(a.Data) {
		bad("give the whole path", "data folder %q is not absolute", a.Data)
	}
	if a.Forward.TokenFile == "" {
		bad("name a file that holds a token of the server", "forward.token_file is missing")
	}
	if len(a.Inputs.Files) == 0 {
		bad("add an entry to inputs.files", "the agent has nothing to read")
	}
	return errors.Join(errs...)
}
