package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// A topic is a text of help that is no verb's.
type topic struct{ name, short, text string }

// newTopics returns the topics; "meshtrail help NAME" shows them.
func newTopics() []*cobra.Command {
	var out []*cobra.Command
	for _, t := range topics {
		cmd := &cobra.Command{Use: t.name, Short: t.short, Long: strings.Trim(t.text, "\n")}
		// A topic has no usage and no flags: its text is all there is.
		cmd.SetHelpTemplate("{{.Long}}\n")
		out = append(out, cmd)
	}
	return out
}

var topics = []topic{
	{"query-language", "LogQL in two minutes", `
A query selects records in braces, and then takes them through stages:

  {mesh="istio", namespace="shop"} |= "timeout" | http_response_status_code >= 500

Braces compare any field with = != =~ !~. There is no difference between labels
and fields, and no label limit. {} is everything; --since bounds what it costs.

Line filters look into the record's line:
  |= "text"   has it            != "text"   has it not
  |~ "re.*"   matches           !~ "re.*"   matches not
  |> "<_> took <_> ms"          a pattern

Conditions compare fields: texts, numbers, durations, sizes, networks.
  | duration > 250ms and url_path =~ "/cart.*"
  | client_address = ip("10.0.0.0/8")

Stages make and shape: json, logfmt, regexp, pattern, unpack, line_format,
label_format, decolorize, drop, keep, distinct. Fields were parsed when the record
arrived, so that a platform's log needs no parser.

Metric queries compute from records:
  sum by (service) (rate({mesh="istio"} |= "error" [5m]))
  topk(5, sum by (url_path) (count_over_time({service="cart"}[1h])))
  quantile_over_time(0.99, {mesh="istio"} | unwrap duration [5m]) by (service)

Names are those of the schema with _ for . (http_response_status_code), those of
the platform (response_code, status) and short labels (service, namespace).
"duration > 250" is in the unit of the name that was asked: Envoy's milliseconds.

To learn what there is and why a query does what it does:
  meshtrail fields --since 1h
  meshtrail values http_response_status_code '{mesh="istio"}'
  meshtrail explain '{mesh="istio"} |= "timeout" | json'
  meshtrail lint '{mesh="istio"} |~ "timeout"'
  meshtrail fmt 'sum by(service)(rate({mesh="istio"}[5m]))'`},
	{"search", "The language of the search bar, for --lang search", `
Search is what people type: Lucene's and KQL's forms as one language. It selects
records; it computes nothing.

  timeout                         the word, in the body or any field
  "connection reset"              the phrase
  service:cart                    a field has a value
  status:>=500                    greater; also > < <=
  status:[500 TO 599]             a range; { } exclude an end
  path:/api/*                     a pattern: * is any text, ? one character
  path:/\/cart\/[0-9]+/           a regular expression
  client_address:10.0.0.0/8       a network
  service:(cart OR web)           one of several
  trace_id:*                      the field is there
  mesh:istio AND NOT status:200   and, or, not; also && || ! + -

Words beside each other must all be there. Names are those of LogQL, with . or _.

  meshtrail query --lang search 'service:cart AND status:>=500' --since 1h
  meshtrail tail --lang search '"connection reset" NOT service:web'
  meshtrail stats --lang search 'mesh:istio status:>=500' --by service
  meshtrail explain --lang search 'path:/api/* AND status:>=500'`},
	{"output", "The forms of -o, and what programs can rely on", `
  pretty    for people: local time, severity, service, what matters of the line.
            Colours on a terminal; NO_COLOR or --color never takes them away.
  raw       the line as its sender wrote it, and nothing else
  jsonl     one JSON object a line: time, ingest, ord, class, severity, line, fields
  csv       a head and a row a record; --fields names the columns
  logfmt    key=value
  parquet   a file for DuckDB, Spark, pandas, with types (query only)

Data goes to standard output, notes, warnings and progress to standard error, so
that pipes carry data alone:
  meshtrail query '{service="cart"}' --limit 0 -o jsonl | jq -r '.fields.url_path'
  meshtrail query '{mesh="istio"}' --since 1d -o parquet > day.parquet
  meshtrail tail '{namespace="shop"}' -o jsonl | jq 'select(.severity == "ERROR")'

What a terminal would take for a command is shown as \x1b and the like; into a
pipe or file a line goes as it was. CSV cells that a spreadsheet would compute
begin with an apostrophe.

Every answer ends with a manifest. When it is missing, or counts other records,
the answer was cut off on its way: the exit code is 3. meshtrail help exit-codes
lists the others.`},
	{"exit-codes", "What the exit codes of the reading verbs mean", `
   0   found, done
   1   nothing matches; lint and fmt --check: there are findings
   2   the command line or the query cannot be understood; the caret shows where
   3   the answer is not whole: cut off, damaged, over a budget, or not shown
   4   no credential, or not the permission
  70   a bug of Meshtrail's
  75   the server cannot answer now: try again
 130   interrupted

A script that must not take part of an answer for the whole checks for 0 and 1:
  meshtrail query '{service="cart"} |= "panic"' -o jsonl > out.jsonl || test $? -eq 1`},
	{"environment", "Environment variables", `
  MESHTRAIL_SERVER      address of the server, instead of --server
  MESHTRAIL_TOKEN_FILE  file of the token, instead of --token-file
  NO_COLOR              set to anything: no colours
  HTTPS_PROXY, NO_PROXY as usual
  TZ                    the time zone of times that are shown to people

The token is never a flag: it would stand in the list of processes.
  export MESHTRAIL_SERVER=https://logs.example.com MESHTRAIL_TOKEN_FILE=~/.meshtrail.token`},
	{"times", "How times and ranges are written", `
  --since 15m               the last quarter of an hour: s m h d w
  --from -2h --to -1h       relative to now
  --from 2026-11-21T14:00:00Z --to 2026-11-21T15:00:00+01:00
  --from 2026-11-21         midnight, UTC
  --from 1795176000         Unix seconds

Ranges are half open: a record at --to is not in them. Without a range it is the
last hour. Times are the records' own; meshtrail tail goes by when they came.`},
}
