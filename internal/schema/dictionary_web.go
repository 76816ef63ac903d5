package schema

// webFields is what proxies, ingress controllers, web servers and load balancers
// say of requests and connections beside what every mesh says.
var webFields = []Field{
	{Name: "http.request.header.referer", Type: Text, Sensitivity: Personal, Meaning: "Page that led to the request, as its header says.",
		Aliases: names(web, "http_referer", "referer", "request_Referer"), Also: []string{"http_referer", "referer"}},
	{Name: "http.request.size", Type: Integer, Unit: ByteCount, Meaning: "Bytes of the request with its head.", Aliases: united(ByteCount, web, "request_length")},
	{Name: "http.response.size", Type: Integer, Unit: ByteCount, Meaning: "Bytes of the response with its head."},
	{Name: "event.code", Type: Text, Meaning: "Number that the software gives the kind of message: Apache's AH00124."},
	{Name: "log.logger", Type: Text, Meaning: "Logger, module or component within the program that wrote the record.", Aliases: names(usual, "logger"), Also: []string{"logger"}},
	{Name: "cloud.region", Type: Text, Meaning: "Region of the cloud that the record is about."},
	{Name: "mesh.cache.status", Type: Text, Meaning: "What the proxy's cache did, as the proxy calls it: HIT, MISS, BYPASS, …", Aliases: names(web, "upstream_cache_status")},
	{Name: "mesh.listener", Type: Text, Meaning: "Listener of the proxy that took the connection: HAProxy's frontend, Traefik's entry point, the load balancer of a cloud."},
	{Name: "mesh.queue_ns", Type: Integer, Unit: Nanoseconds, Meaning: "Time that the exchange waited for a free upstream."},
	{Name: "mesh.request_read_ns", Type: Integer, Unit: Nanoseconds, Meaning: "Time until the whole head of the request was there."},
	{Name: "mesh.termination_state", Type: Text, Meaning: "HAProxy's letters for how the exchange ended."},
	{Name: "mesh.termination_reason", Type: Text, Meaning: "The first two of these letters in words: who ended it, and in which phase."},
	{Name: "haproxy.http.request.captured_headers", Type: Text, Sensitivity: Personal, Meaning: "Headers of the request that HAProxy was told to capture, in that order, a bar between. Of a line with one list only it may be that of the response."},
	{Name: "haproxy.http.response.captured_headers", Type: Text, Sensitivity: Personal, Meaning: "Headers of the response that HAProxy was told to capture."},
	{Name: "mesh.upstream.name", Type: Text, Meaning: "Upstream that was chosen, by the name that the proxy's configuration gives it."},
	{Name: "mesh.upstream.status_code", Type: Integer, Meaning: "Status code that the upstream gave: the last one, if several were tried."},
	{Name: "mesh.upstream.connect_ns", Type: Integer, Unit: Nanoseconds, Meaning: "Time until the connection to the upstream stood."},
	{Name: "mesh.upstream.first_byte_ns", Type: Integer, Unit: Nanoseconds, Meaning: "Time until the head of the upstream's response was there."},
	{Name: "mesh.upstream.response_size", Type: Integer, Unit: ByteCount, Meaning: "Bytes that the upstream sent: the last one, if several were tried."},
}

// web owns names that proxies and web servers share.
const web = "web servers"
