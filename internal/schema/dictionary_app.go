package schema

// appFields is what programs say of themselves in each record.
var appFields = []Field{
	{Name: "thread.name", Type: Text, Meaning: "Thread that wrote the record, by name.", Aliases: names(usual, "thread", "thread_name", "threadName"), Also: []string{"thread", "thread_name", "threadName"}},
	{Name: "db.namespace", Type: Text, Meaning: "Database that a database server names."},
	{Name: "exception.type", Type: Text, Meaning: "Type of the exception or error.", Aliases: names(ecs, "error.type"), Also: []string{"error.type"}},
	{Name: "exception.message", Type: Text, Sensitivity: Personal, Meaning: "Message of the exception or error.", Aliases: names(ecs, "error.message"), Also: []string{"error.message"}},
	{Name: "exception.stacktrace", Type: Text, Sensitivity: Personal, Meaning: "Its stack trace, of several lines.", Aliases: all(names(ecs, "error.stack_trace"), names(usual, "stacktrace", "stack_trace")),
		Also: []string{"error.stack_trace", "stack_trace", "stacktrace"}},
}
