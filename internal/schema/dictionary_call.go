package schema

// callFields is what is derived of an exchange that a proxy carried: why it
// failed, in words and in classes that are the same for every mesh, and by what
// the records of one call are found together.
var callFields = []Field{
	{Name: "mesh.call.id", Type: Text,
		Meaning: "16 hexadecimal digits that the records of one connection share, whichever side wrote them: the CRC-64 (ECMA) of its two addresses. Records of one request share http.request.header.x-request-id."},
	{Name: "mesh.failure.class", Type: Text,
		Values:  "timeout, connect, refused, tls, dns, reset, no_route, no_upstream, overload, rate_limit, policy, protocol, canceled, injected",
		Meaning: "Why the exchange failed or was cut short, in the proxy's own words brought to one class; absent when nothing failed within the mesh."},
	{Name: "mesh.timeout", Type: Text, Values: "request, try, idle, duration, connect, head",
		Meaning: "Which of the proxy's times ran out: that of the request, of one try, without any byte, of the stream or connection as a whole, to connect, to send the head."},
	{Name: "mesh.retry", Type: Text, Values: "retried, exhausted", Meaning: "Whether the proxy tried again: and the last try did, or no further one was allowed."},
	{Name: "mesh.response_flags_text", Type: Text, Meaning: "mesh.response_flags spelled out, separated by semicolons."},
	{Name: "http.request.header.x-forwarded-client-cert", Type: Text, Sensitivity: Personal, Meaning: "Certificates of the clients that the proxies on the way saw, as the header says.",
		Aliases: names(envoy, "x_forwarded_client_cert", "x-forwarded-client-cert", "forwarded_client_cert")},
}
