package applog

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// The slots of the tables.
const (
	_ table.Slot = iota
	level
	caller
	name1
	name2
	seconds
	nanos
	trace
)

func app(name, of string) facts.Format {
	return facts.Format{Name: name, Platform: name[:len(name)-len("-json")], Kind: facts.App, Of: of}
}

type keys = map[string]table.Rule

// with adds the names by which most loggers know a trace to a table's own.
func with(own keys) keys {
	for _, name := range [...]string{"trace_id", "traceId", "traceID", "trace.id", "otelTraceID"} {
		own[name] = table.TraceID()
	}
	for _, name := range [...]string{"span_id", "spanId", "spanID", "span.id", "otelSpanID"} {
		own[name] = table.Text(field.SpanID)
	}
	return own
}

// Tables are the JSON layouts of loggers. Those of few and common names stand
// last.
var Tables = []*table.Table{
	{
		Format: app("mongodb-json", "MongoDB since 4.4"),
		All:    [][]string{{"t.$date"}, {"s"}, {"c"}, {"id"}, {"ctx"}, {"msg"}},
		Keys: keys{"t.$date": table.Time(), "s": table.Take(level), "c": table.Text(field.LogLogger), "id": table.Text(field.EventCode), "ctx": table.Text(field.ThreadName),
			"msg": table.Message(), "attr.remote": table.Take(caller)},
		Finish: func(o *facts.Out, s *table.Slots) {
			switch v := s.Text(level); {
			case len(v) == 2 && v[0] == 'D' && v[1]-'0' < 10: // D1 to D5
				o.Severity(v[:1])
			case len(v) == 1:
				o.Severity(v)
			default:
				s.Leave(o, level)
			}
			if v := s.Text(caller); v != nil {
				o.Peer(v, nil)
				table.Keep(o, s.Member(caller))
			}
		},
	},
	{
		Format: app("gcp-app-json", "structured logs for Google Cloud's agent"),
		All:    [][]string{{"severity"}, {"message"}, {"logging.googleapis.com/trace", "logging.googleapis.com/spanId", "logging.googleapis.com/labels", "logging.googleapis.com/sourceLocation.file", "timestamp.seconds", "timestampSeconds"}},
		Keys: keys{"time": table.Time(), "timestamp": table.Time(), "timestamp.seconds": table.Take(seconds), "timestamp.nanos": table.Take(nanos), "timestampSeconds": table.Take(seconds), "timestampNanos": table.Take(nanos),
			"severity": table.Severity(), "message": table.Message(), "logging.googleapis.com/trace": table.Take(trace), "logging.googleapis.com/spanId": table.Text(field.SpanID),
			"logging.googleapis.com/sourceLocation.file": table.Text(field.CodeFilePath), "logging.googleapis.com/sourceLocation.line": table.Int(field.CodeLineNumber),
			"logging.googleapis.com/sourceLocation.function": table.Text(field.CodeFunctionName)},
		Finish: func(o *facts.Out, s *table.Slots) {
			if v := s.Text(trace); v != nil && !o.TraceID(v[bytes.LastIndexByte(v, '/')+1:]) {
				s.Leave(o, trace)
			}
			if s.Member(seconds) != nil {
				instant(o, s)
			}
		},
	},
	{
		Format: app("klog-json", "klog and Kubernetes' components with --logging-format=json"),
		All:    [][]string{{"ts"}, {"caller"}, {"msg"}, {"v", "err"}}, None: []string{"level"},
		Keys: with(keys{"ts": table.Time(), "caller": table.Take(caller), "msg": table.Message(), "logger": table.Text(field.LogLogger), "err": table.Text(field.ExceptionMessage).At(level)}),
		Finish: func(o *facts.Out, s *table.Slots) { // only errors have err
			if s.Member(level) != nil {
				o.Severity([]byte("error"))
			} else {
				o.Severity([]byte("info"))
			}
			takePlace(o, s)
		},
	},
	{
		Format: app("ecs-json", "ECS loggers of Elastic: Java, Python, Go, Node, .NET"),
		All:    [][]string{{"@timestamp"}, {"log.level"}, {"message"}, {"ecs.version"}},
		Keys: with(keys{"@timestamp": table.Time(), "log.level": table.Severity(), "message": table.Message(), "log.logger": table.Text(field.LogLogger),
			"process.thread.name": table.Text(field.ThreadName), "process.thread.id": table.Int(field.ThreadID), "process.pid": table.Int(field.ProcessPID),
			"log.origin.file.name": table.Text(field.CodeFilePath), "log.origin.file.line": table.Int(field.CodeLineNumber), "log.origin.function": table.Text(field.CodeFunctionName),
			"error.type": table.Text(field.ExceptionType), "error.message": table.Text(field.ExceptionMessage), "error.stack_trace": table.Text(field.ExceptionStacktrace)}),
	},
	{
		Format: app("logstash-json", "logback and log4j by Logstash's encoder"),
		All:    [][]string{{"@timestamp"}, {"@version"}, {"message"}, {"logger_name", "level_value", "thread_name"}},
		Keys: with(keys{"@timestamp": table.Time(), "level": table.Severity(), "message": table.Message(), "logger_name": table.Text(field.LogLogger),
			"thread_name": table.Text(field.ThreadName), "stack_trace": table.Text(field.ExceptionStacktrace)}),
	},
	{
		Format: app("log4j-json", "log4j's JsonLayout"),
		All:    [][]string{{"instant.epochSecond", "timeMillis"}, {"loggerName"}, {"level"}, {"message"}},
		Keys: with(keys{"timeMillis": table.Time(), "instant.epochSecond": table.Take(seconds), "instant.nanoOfSecond": table.Take(nanos), "level": table.Severity(), "message": table.Message(),
			"loggerName": table.Text(field.LogLogger), "thread": table.Text(field.ThreadName), "threadId": table.Int(field.ThreadID),
			"thrown.name": table.Text(field.ExceptionType), "thrown.message": table.Text(field.ExceptionMessage), "thrown.extendedStackTrace": table.Text(field.ExceptionStacktrace),
			"source.file": table.Text(field.CodeFilePath), "source.line": table.Int(field.CodeLineNumber), "source.method": table.Text(field.CodeFunctionName)}),
		Finish: instant,
	},
	{
		Format: app("serilog-json", "Serilog's compact format"),
		All:    [][]string{{"@t"}, {"@m", "@mt"}},
		Keys: with(keys{"@t": table.Time(), "@l": table.Take(level), "@m": table.Message(), "@tr": table.TraceID(), "@sp": table.Text(field.SpanID),
			"@x": table.Text(field.ExceptionStacktrace), "SourceContext": table.Text(field.LogLogger)}),
		Finish: func(o *facts.Out, s *table.Slots) { // information is not written
			if v := s.Text(level); v != nil {
				o.Severity(v)
			} else {
				o.Severity([]byte("Information"))
			}
		},
	},
	{
		Format: app("dotnet-json", ".NET's JSON console"),
		All:    [][]string{{"EventId"}, {"LogLevel"}, {"Category"}, {"Message"}},
		Keys:   with(keys{"Timestamp": table.Time(), "LogLevel": table.Severity(), "Category": table.Text(field.LogLogger), "Message": table.Message(), "Exception": table.Text(field.ExceptionStacktrace)}),
	},
	{
		Format: app("rust-tracing-json", "Rust's tracing-subscriber"),
		All:    [][]string{{"timestamp"}, {"level"}, {"fields.message", "message", "fields"}, {"target"}},
		Keys: with(keys{"timestamp": table.Time(), "level": table.Severity(), "fields.message": table.Message(), "message": table.Message(), "target": table.Text(field.LogLogger),
			"threadName": table.Text(field.ThreadName), "threadId": table.Take(name1), "filename": table.Text(field.CodeFilePath), "line_number": table.Int(field.CodeLineNumber)}),
		Finish: func(o *facts.Out, s *table.Slots) {
			v := bytes.TrimSuffix(bytes.TrimPrefix(s.Text(name1), []byte("ThreadId(")), []byte(")"))
			if n, ok := facts.Uint(v); ok {
				o.Int(field.ThreadID, n)
			} else if s.Member(name1) != nil {
				s.Leave(o, name1)
			}
		},
	},
	{
		Format: app("python-json", "Python's logging by python-json-logger and others"),
		All:    [][]string{{"levelname"}, {"message", "msg"}, {"name", "asctime", "created", "funcName", "filename"}},
		Keys: with(keys{"asctime": table.Take(name1), "created": table.Time(), "levelname": table.Severity(), "message": table.Message(), "msg": table.Message(), "name": table.Text(field.LogLogger),
			"filename": table.Text(field.CodeFilePath), "lineno": table.Int(field.CodeLineNumber), "funcName": table.Text(field.CodeFunctionName),
			"process": table.Int(field.ProcessPID), "threadName": table.Text(field.ThreadName), "exc_info": table.Text(field.ExceptionStacktrace)}),
		Finish: func(o *facts.Out, s *table.Slots) {
			v := s.Text(name1)
			ns, n := stamp(v, o.Now)
			switch {
			case v == nil:
			case n == len(v) && ns != 0 && !o.Fixed && o.Time == 0:
				o.Time = ns
			default:
				table.Keep(o, s.Member(name1))
			}
		},
	},
	{
		Format: app("bunyan-json", "bunyan for Node"),
		All:    [][]string{{"level"}, {"time"}, {"pid"}, {"hostname"}, {"v"}, {"name"}},
		Keys:   nodeKeys(), Finish: nodeLevel,
	},
	{
		Format: app("pino-json", "pino for Node"),
		All:    [][]string{{"level"}, {"time"}, {"pid"}, {"hostname"}},
		Keys:   nodeKeys(), Finish: nodeLevel,
	},
	{
		Format: app("zap-json", "zap, controller-runtime and Kubernetes' operators"),
		All:    [][]string{{"level"}, {"ts"}, {"msg"}},
		Keys: with(keys{"ts": table.Time(), "level": table.Severity(), "msg": table.Message(), "logger": table.Text(field.LogLogger), "caller": table.Take(caller),
			"stacktrace": table.Text(field.ExceptionStacktrace)}),
		Finish: takePlace,
	},
	{
		Format: app("slog-json", "Go's log/slog"),
		All:    [][]string{{"level"}, {"time"}, {"msg"}},
		Keys: with(keys{"time": table.Time(), "level": table.Severity().At(level), "msg": table.Message(), "source.function": table.Text(field.CodeFunctionName),
			"source.file": table.Text(field.CodeFilePath), "source.line": table.Int(field.CodeLineNumber)}),
		Match: func(s *table.Slots) bool { v := s.Text(level); return len(v) > 0 && v[0] < 'a' },
	},
	{
		Format: app("logrus-json", "logrus"),
		All:    [][]string{{"level"}, {"time"}, {"msg"}},
		Keys: with(keys{"time": table.Time(), "level": table.Severity().At(level), "msg": table.Message(), "func": table.Text(field.CodeFunctionName), "file": table.Take(caller),
			"error": table.Text(field.ExceptionMessage)}),
		Match:  func(s *table.Slots) bool { return facts.IsLevel(s.Text(level)) },
		Finish: takePlace,
	},
	{
		Format: app("zerolog-json", "zerolog"),
		All:    [][]string{{"level"}, {"time"}, {"message"}},
		Keys: with(keys{"time": table.Time(), "level": table.Severity().At(level), "message": table.Message(), "caller": table.Take(caller), "error": table.Text(field.ExceptionMessage),
			"stack": table.Text(field.ExceptionStacktrace)}),
		Match:  func(s *table.Slots) bool { return facts.IsLevel(s.Text(level)) },
		Finish: takePlace,
	},
}

func nodeKeys() keys {
	return with(keys{"level": table.Take(level), "time": table.Time(), "msg": table.Message(), "pid": table.Int(field.ProcessPID), "hostname": table.Text(field.HostName), "name": table.Text(field.LogLogger),
		"err.type": table.Text(field.ExceptionType), "err.message": table.Text(field.ExceptionMessage), "err.stack": table.Text(field.ExceptionStacktrace)})
}

// nodeLevels are pino's and bunyan's, in tens from 10.
var nodeLevels = [...]string{"trace", "debug", "info", "warn", "error", "fatal"}

func nodeLevel(o *facts.Out, s *table.Slots) {
	n, ok := s.Int(level)
	switch {
	case ok && n >= 10 && n <= 60 && n%10 == 0:
		o.Severity([]byte(nodeLevels[n/10-1]))
	case facts.IsLevel(s.Text(level)):
		o.Severity(s.Text(level))
	default:
		s.Leave(o, level)
	}
}

// takePlace writes file:line of the member caller, or leaves it.
func takePlace(o *facts.Out, s *table.Slots) {
	if v := s.Text(caller); v != nil && !place(o, v) {
		table.Keep(o, s.Member(caller))
	}
}

// instant reads log4j's seconds and nanoseconds.
func instant(o *facts.Out, s *table.Slots) {
	sec, ok := s.Int(seconds)
	nano, _ := s.Int(nanos)
	switch {
	case !ok || sec < 0 || sec > 1<<33 || nano < 0 || nano >= 1e9 || o.Fixed || o.Time != 0:
		for _, at := range [...]table.Slot{seconds, nanos} {
			if m := s.Member(at); m != nil {
				table.Keep(o, m)
			}
		}
	default:
		o.Time = sec*1e9 + nano
	}
}
