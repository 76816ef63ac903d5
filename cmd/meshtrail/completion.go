package main

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/fault"
)

func newCompletion(t *terminal) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print a script that completes commands, and queries inside their quotes",
		Long: `Prints a completion script for bash, zsh, fish or powershell. It completes verbs
and flags, and within the quotes of a query what may follow there: fields and
values that the server has in the last hour, comparisons, stages, functions. It
asks the server that the command line, or the environment, names; when there is
no answer within a quarter of a second it offers what it knows without one.`,
		Example: `  source <(meshtrail completion bash)
  meshtrail completion bash > /etc/bash_completion.d/meshtrail
  meshtrail completion zsh > "${fpath[1]}/_meshtrail"
  meshtrail completion fish > ~/.config/fish/completions/meshtrail.fish
  meshtrail completion powershell | Out-String | Invoke-Expression`,
		ValidArgs: shells,
		Args:      arguments(1, 1, "one shell: "+strings.Join(shells, ", ")),
		RunE: func(cmd *cobra.Command, args []string) error {
			script, err := completionScript(cmd.Root(), args[0])
			if err != nil {
				return err
			}
			_, err = io.WriteString(t.out, script)
			return err
		},
	}
}

// bashScript needs no library of completions: the program itself splits the line
// and says what stands in the place of the word that is being typed.
const bashScript = `# bash completion for meshtrail
_meshtrail()
{
    local answer first
    COMPREPLY=()
    answer=$("${COMP_WORDS[0]}" __line "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null) || return 0
    first=${answer%%$'\n'*}
    [[ $first == *nospace* ]] && compopt -o nospace 2>/dev/null
    [[ $first == *files* ]] && compopt -o default 2>/dev/null
    [[ $answer == *$'\n'* ]] || return 0
    local IFS=$'\n'
    set -f
    COMPREPLY=(${answer#*$'\n'})
    set +f
}
complete -o nosort -F _meshtrail meshtrail 2>/dev/null || complete -F _meshtrail meshtrail
`

// completionScript is cobra's for the other shells, changed where they would
// evaluate, or compare, the quotes of a query that is still open.
func completionScript(root *cobra.Command, shell string) (string, error) {
	var b bytes.Buffer
	var err error
	var edits []string // old, new
	switch shell {
	case "bash":
		return bashScript, nil
	case "zsh":
		err = root.GenZshCompletion(&b)
		const out = "    out=$(eval ${requestComp} 2>/dev/null)\n"
		edits = []string{out, out + `    [[ -n "$out" ]] || out=$(eval "${requestComp}'" 2>/dev/null)
    [[ -n "$out" ]] || out=$(eval "${requestComp}\"" 2>/dev/null)
`}
	case "fish":
		err = root.GenFishCompletion(&b, true)
		const closed = `(string unescape -- $typed; or string unescape -- $typed\'; or string unescape -- $typed\"; or echo $typed)`
		edits = []string{
			"    set -l lastArg (string escape -- (commandline -ct))\n",
			"    set -l typed (commandline -ct)\n    set -l lastArg (string escape -- " + closed + ")\n",
			"        set -l prefix (commandline -t | string escape --style=regex)\n",
			"        set -l typed (commandline -ct)\n        set -l prefix (string escape --style=regex -- " + closed + ")\n",
		}
	case "powershell":
		err = root.GenPowerShellCompletionWithDesc(&b)
	default:
		return "", &exitError{exitUsage, fault.WithHint(fault.Errorf(fault.Invalid, "there is no completion for %q", shell), "use bash, zsh, fish or powershell")}
	}
	if err != nil {
		return "", fault.Errorf(fault.Internal, "write a completion script: %w", err)
	}
	script := b.String()
	for ; len(edits) > 0; edits = edits[2:] {
		if strings.Count(script, edits[0]) != 1 {
			return "", fault.Errorf(fault.Internal, "the completion script of %s has another form", shell)
		}
		script = strings.Replace(script, edits[0], edits[1], 1)
	}
	return script, nil
}

// newLine answers the bash script: a line of directives, then what may stand in
// place of the word at the end of the command line.
func newLine(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:                "__line LINE WORDBREAKS",
		Hidden:             true,
		DisableFlagParsing: true,
		Args:               arguments(2, 2, "a command line and bash's word breaks"),
		RunE: func(cmd *cobra.Command, args []string) error {
			line := splitLine(args[0])
			var out bytes.Buffer
			root := newRoot(&terminal{in: strings.NewReader(""), out: io.Discard, err: io.Discard})
			root.SetArgs(append([]string{cobra.ShellCompNoDescRequestCmd}, append(line.args, line.word)...))
			root.SetOut(&out)
			root.SetErr(io.Discard)
			if err := root.ExecuteContext(cmd.Context()); err != nil {
				return err
			}
			list := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			last := len(list) - 1
			directive, _ := strconv.Atoi(strings.TrimPrefix(list[last], ":"))
			fmt.Fprintln(t.out, directives(cobra.ShellCompDirective(directive)))
			for _, c := range list[:last] {
				if text, ok := line.insert(c, args[1]); ok && c != "" && strings.HasPrefix(c, line.word) {
					fmt.Fprintln(t.out, text)
				}
			}
			return nil
		},
	}
}

func directives(d cobra.ShellCompDirective) string {
	var out []string
	if d&cobra.ShellCompDirectiveNoSpace != 0 {
		out = append(out, "nospace")
	}
	if d&(cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveError) == 0 {
		out = append(out, "files")
	}
	return strings.Join(out, " ")
}

// A typedLine is a command line up to the cursor: the arguments of the last
// command, without the program, and the word at the cursor.
type typedLine struct {
	args  []string
	word  string // without quotes
	raw   string // as typed, since the open quote if there is one
	quote byte   // that is open at the cursor, or 0
}

// splitLine splits as a POSIX shell does, but expands nothing: what a variable or
// a substitution would be is not run for a completion.
func splitLine(line string) typedLine {
	var t typedLine
	var words []string
	var word strings.Builder
	open, begin := false, 0
	end := func() {
		if open {
			words = append(words, word.String())
		}
		word.Reset()
		open = false
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case t.quote == '\'' && c != '\'', t.quote == '"' && c != '"' && c != '\\':
			word.WriteByte(c)
		case t.quote != 0 && c == t.quote:
			t.quote = 0
		case c == '\\' && i+1 < len(line):
			i++
			if t.quote == '"' && strings.IndexByte("\"\\$`", line[i]) < 0 {
				word.WriteByte(c)
			}
			if !open {
				open, begin = true, i-1
			}
			word.WriteByte(line[i])
		case c == '\'' || c == '"':
			t.quote = c
			open, begin = true, i+1
		case c == ' ' || c == '\t' || c == '\n':
			end()
		case strings.IndexByte("|;&<>()", c) >= 0:
			end()
			words = nil
		default:
			if !open {
				open, begin = true, i
			}
			word.WriteByte(c)
		}
	}
	if open {
		t.word, t.raw = word.String(), line[min(begin, len(line)):]
	}
	at := slices.IndexFunc(words, func(w string) bool { return filepath.Base(w) == "meshtrail" })
	t.args = words[min(len(words), max(at, 0)+1):]
	return t
}

// insert returns what bash is to put in place of the word for a candidate: it
// keeps what stands before its own last word break, or the open quote.
func (t *typedLine) insert(candidate, breaks string) (string, bool) {
	switch t.quote {
	case '\'':
		return candidate, !strings.Contains(candidate, "'")
	case '"':
		return doubleQuoted.Replace(candidate), true
	}
	text := bare(candidate)
	if !strings.HasPrefix(text, t.raw) {
		if !strings.HasPrefix(candidate, t.raw) {
			return "", false
		}
		text = t.raw + bare(candidate[len(t.raw):])
	}
	return text[strings.LastIndexAny(t.raw, breaks)+1:], true
}

var doubleQuoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`")

// bare escapes what a shell would not take as it is.
func bare(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(" \t\"'`$\\|&;<>(){}[]*?!#~", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
