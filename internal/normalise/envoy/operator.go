package envoy

import "strings"

// text is what an operator may print, so far as that tells where it ends.
type text uint8

const (
	word    text = iota // neither space nor quote
	number_             // decimal digits, perhaps a sign and a fraction
	free                // anything but what stands behind it, unless there is no other way
	agent               // anything: a user agent, a referer
	stamp               // a time of a known layout
)

// An operator is one %COMMAND(ARGUMENT):LENGTH% of a format.
type operator struct {
	key   Key    // None: it has no canonical field
	own   string // the name that its text has then
	text  text
	unit  int64   // of numbers without a key: how much one is in nanoseconds or bytes; 0 keeps the text
	clock *layout // of stamps
}

// plain are the operators that a key stands for.
var plain = map[string]operator{
	"START_TIME":                             {key: StartTime, text: word},
	"START_TIME_LOCAL":                       {key: StartTime, text: word},
	"PROTOCOL":                               {key: Protocol},
	"RESPONSE_CODE":                          {key: Code, text: number_},
	"RESPONSE_CODE_DETAILS":                  {key: Details, text: free},
	"CONNECTION_TERMINATION_DETAILS":         {key: Termination, text: free},
	"RESPONSE_FLAGS":                         {key: Flags},
	"RESPONSE_FLAGS_LONG":                    {key: FlagsLong},
	"BYTES_RECEIVED":                         {key: BytesReceived, text: number_},
	"BYTES_SENT":                             {key: BytesSent, text: number_},
	"DURATION":                               {key: Duration, text: number_},
	"RESPONSE_DURATION":                      {key: FirstByte, text: number_},
	"UPSTREAM_REQUEST_ATTEMPT_COUNT":         {key: Attempts, text: number_},
	"UPSTREAM_HOST":                          {key: UpstreamHost},
	"UPSTREAM_REMOTE_ADDRESS":                {key: UpstreamHost},
	"UPSTREAM_CLUSTER":                       {key: UpstreamCluster, text: free},
	"UPSTREAM_CLUSTER_RAW":                   {key: UpstreamCluster, text: free},
	"UPSTREAM_LOCAL_ADDRESS":                 {key: UpstreamLocal},
	"UPSTREAM_TRANSPORT_FAILURE_REASON":      {key: Failure, text: free},
	"UPSTREAM_PEER_URI_SAN":                  {key: UpstreamURI, text: free},
	"ROUTE_NAME":                             {key: Route, text: free},
	"DOWNSTREAM_REMOTE_ADDRESS":              {key: DownstreamRemote},
	"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": {key: DownstreamRemote},
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS":       {key: DirectRemote},
	"DOWNSTREAM_LOCAL_ADDRESS":               {key: DownstreamLocal},
	"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT":  {key: DownstreamLocal},
	"REQUESTED_SERVER_NAME":                  {key: ServerName},
	"DOWNSTREAM_PEER_URI_SAN":                {key: PeerURI, text: free},
	"DOWNSTREAM_LOCAL_URI_SAN":               {key: LocalURI, text: free},
	"DOWNSTREAM_PEER_SUBJECT":                {key: PeerSubject, text: free},
	"DOWNSTREAM_PEER_ISSUER":                 {key: PeerIssuer, text: free},
	"DOWNSTREAM_TLS_VERSION":                 {key: TLSVersion},
	"DOWNSTREAM_TLS_CIPHER":                  {key: TLSCipher},
	"GRPC_STATUS":                            {key: GRPCStatus},
	"GRPC_STATUS_NUMBER":                     {key: GRPCStatus, text: number_},
	"HOSTNAME":                               {key: HostName},
	"TRACE_ID":                               {key: TraceID},
	"SPAN_ID":                                {key: SpanID},
	"PATH":                                   {key: Path, text: free},
	"QUERY_PARAMS":                           {key: Query, text: free},
	"KUMA_MESH":                              {key: MeshID},
	"KUMA_SOURCE_SERVICE":                    {key: SourceService},
	"KUMA_DESTINATION_SERVICE":               {key: DestinationService},
	"KUMA_SOURCE_ADDRESS":                    {key: DownstreamRemote},
	"KUMA_SOURCE_ADDRESS_WITHOUT_PORT":       {key: DownstreamRemote},
	"KUMA_TRAFFIC_DIRECTION":                 {key: Direction},
}

// counted are operators without a key whose text is a number of milliseconds.
var counted = map[string]bool{
	"REQUEST_DURATION": true, "REQUEST_TX_DURATION": true, "RESPONSE_TX_DURATION": true, "ROUNDTRIP_DURATION": true,
	"DOWNSTREAM_HANDSHAKE_DURATION": true, "UPSTREAM_CONNECTION_POOL_READY_DURATION": true,
}

// loose are operators without a key whose text may hold spaces.
var loose = map[string]bool{
	"DYNAMIC_METADATA": true, "CLUSTER_METADATA": true, "UPSTREAM_METADATA": true, "METADATA": true, "FILTER_STATE": true, "UPSTREAM_FILTER_STATE": true,
	"LOCAL_REPLY_BODY": true, "CEL": true, "TYPED_CEL": true, "COALESCE": true, "ENVIRONMENT": true, "QUERY_PARAM": true, "CUSTOM_FLAGS": true,
	"DOWNSTREAM_LOCAL_SUBJECT": true, "UPSTREAM_PEER_SUBJECT": true, "UPSTREAM_PEER_ISSUER": true, "DOWNSTREAM_TRANSPORT_FAILURE_REASON": true,
	"UPSTREAM_LOCAL_CLOSE_REASON": true, "DOWNSTREAM_LOCAL_CLOSE_REASON": true, "EMIT_TIME": true, "EMIT_TIME_LOCAL": true, "FILTER_CHAIN_NAME": true, "VIRTUAL_CLUSTER_NAME": true,
	"DOWNSTREAM_PEER_CERT_V_START": true, "DOWNSTREAM_PEER_CERT_V_END": true, "UPSTREAM_PEER_CERT_V_START": true, "UPSTREAM_PEER_CERT_V_END": true,
}

// requestHeaders and responseHeaders are the headers that a key stands for.
var (
	requestHeaders = map[string]operator{
		":method": {key: Method}, ":path": {key: Path, text: free}, "x-envoy-original-path": {key: Path, text: free}, "x-original-path": {key: Path, text: free},
		":authority": {key: Authority}, "host": {key: Authority}, "x-envoy-original-host": {key: Authority}, ":scheme": {key: Scheme}, "x-forwarded-proto": {key: Scheme},
		"user-agent": {key: UserAgent, text: agent}, "referer": {key: Referer, text: agent}, "x-forwarded-for": {key: ForwardedFor, text: free}, "x-request-id": {key: RequestID},
		"traceparent": {key: Traceparent}, "x-b3-traceid": {key: B3TraceID}, "x-datadog-traceid": {key: B3TraceID}, "x-datadog-trace-id": {key: B3TraceID},
		"x-b3-spanid": {key: B3SpanID}, "b3": {key: B3}, "uber-trace-id": {key: UberTraceID}, "x-forwarded-client-cert": {key: ClientCert, text: free},
	}
	responseHeaders = map[string]operator{
		"x-envoy-upstream-service-time": {key: UpstreamTime, text: number_}, "grpc-status": {key: GRPCStatus, text: number_}, ":status": {key: Code, text: number_},
	}
)

// command returns the operator that a command with its argument is. Every command
// is one: of what nobody knows the text is kept.
func command(name, arg string) (operator, error) {
	switch name {
	case "REQ", "REQUEST_HEADER", "REQ_WITHOUT_QUERY":
		return header(arg, requestHeaders, "http.request.header."), nil
	case "RESP", "RESPONSE_HEADER":
		return header(arg, responseHeaders, "http.response.header."), nil
	case "TRAILER", "RESPONSE_TRAILER":
		op := header(arg, responseHeaders, "http.response.trailer.")
		if op.key == UpstreamTime || op.key == Code {
			op = operator{own: "http.response.trailer." + first(arg), text: free}
		}
		return op, nil
	case "START_TIME", "START_TIME_LOCAL":
		if arg == "" {
			return plain[name], nil
		}
		clock, err := compileLayout(arg)
		if err != nil {
			return operator{}, err
		}
		if clock == nil { // it prints what cannot be read back: the text is kept
			return operator{own: "envoy.start_time", text: free}, nil
		}
		return operator{key: StartTime, text: stamp, clock: clock}, nil
	case "DYNAMIC_METADATA", "METADATA":
		if strings.HasSuffix(arg, "shadow_engine_result") {
			return operator{key: ShadowResult}, nil
		}
		if strings.HasSuffix(arg, "shadow_effective_policy_id") {
			return operator{key: ShadowPolicy, text: free}, nil
		}
	case "FILTER_STATE", "UPSTREAM_FILTER_STATE":
		if op, ok := peerState(arg); ok {
			return op, nil
		}
	case "COMMON_DURATION":
		units := map[string]int64{"ms": 1e6, "us": 1e3, "ns": 1}
		i := strings.LastIndexByte(arg, ':')
		if i > 0 && units[arg[i+1:]] > 0 {
			return operator{own: "envoy.duration." + identifier(arg[:i]) + "_ns", text: number_, unit: units[arg[i+1:]]}, nil
		}
	case "ENVIRONMENT":
		if arg == "HOSTNAME" || arg == "POD_NAME" {
			return operator{key: HostName}, nil
		}
	}
	if op, ok := plain[name]; ok {
		if name == "PATH" && strings.HasPrefix(arg, "NQ") {
			op.text = free
		}
		return op, nil
	}
	op := operator{own: "envoy." + strings.ToLower(name)}
	if counted[name] {
		return operator{own: op.own + "_ns", text: number_, unit: 1e6}, nil
	}
	if strings.HasSuffix(name, "_BYTES") || strings.Contains(name, "_BYTES_") || strings.HasSuffix(name, "BYTES_RETRANSMITTED") || strings.HasSuffix(name, "_PORT") && !strings.Contains(name, "WITHOUT") {
		return operator{own: op.own, text: number_, unit: 1}, nil
	}
	if loose[name] || arg != "" {
		op.text = free
	}
	if arg != "" {
		op.own += "." + identifier(arg)
	}
	return op, nil
}

// header returns the operator of X?Y.
func header(arg string, known map[string]operator, prefix string) operator {
	x, y, _ := strings.Cut(strings.ToLower(arg), "?")
	for _, name := range [...]string{x, y} {
		if op, ok := known[name]; ok {
			return op
		}
	}
	return operator{own: prefix + x, text: free}
}

func first(arg string) string {
	x, _, _ := strings.Cut(strings.ToLower(arg), "?")
	return x
}

// peerState reads KEY:FIELD:NAME of what Istio knows of a peer.
func peerState(arg string) (operator, bool) {
	key, rest, _ := strings.Cut(arg, ":")
	name, isField := strings.CutPrefix(rest, "FIELD:")
	if !isField {
		return operator{}, false
	}
	up := strings.HasSuffix(key, "upstream_peer")
	if !up && !strings.HasSuffix(key, "downstream_peer") {
		return operator{}, false
	}
	switch {
	case name == "workload" && up:
		return operator{key: DestinationWorkload}, true
	case name == "namespace" && up:
		return operator{key: DestinationNamespace}, true
	case name == "workload":
		return operator{key: SourceWorkload}, true
	case name == "namespace":
		return operator{key: SourceNamespace}, true
	}
	return operator{}, false
}

// maxOwn bounds the name of an operator that has no field.
const maxOwn = 96

// identifier writes an argument so that it can be a part of a field's name.
func identifier(arg string) string {
	b := make([]byte, 0, len(arg))
	for _, c := range []byte(strings.ToLower(arg)) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			if c = '_'; len(b) > 0 && (b[len(b)-1] == '.' || b[len(b)-1] == '_') {
				continue
			}
		}
		if b = append(b, c); len(b) == maxOwn {
			break
		}
	}
	return strings.Trim(string(b), "._")
}
