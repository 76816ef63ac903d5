package rpc

import (
	"context"
	"strings"

	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
)

// Health returns grpc.health.v1.Health for the named services and for the server
// as a whole (""). They serve as long as anything answers: a server that stops
// ends its streams, which is how a watcher learns of it. Names says what else
// clients ask for, for example "hubble.server.Observer".
func Health(names ...string) Service {
	known := map[string]bool{"": true}
	for _, n := range names {
		known[n] = true
	}
	serving := &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}
	return Service{Name: "grpc.health.v1.Health", Methods: []Method{
		Unary("Check", func(_ context.Context, in *grpc_health_v1.HealthCheckRequest) (proto.Message, error) {
			if !known[in.GetService()] {
				return nil, fault.Errorf(fault.NotFound, "unknown service %.100q", in.GetService())
			}
			return serving, nil
		}),
		{Name: "Watch", Stream: true, Handle: func(s *Stream) error {
			var in grpc_health_v1.HealthCheckRequest
			if err := s.Recv(&in); err != nil {
				return err
			}
			answer := serving
			if !known[in.GetService()] { // the specification wants this said, not refused
				answer = &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN}
			}
			if err := s.SendMsg(answer); err != nil {
				return err
			}
			<-s.Context().Done()
			return context.Cause(s.Context())
		}},
	}}
}

// Names returns the names of the services that routes are of, for Health.
func Names(routes []httpd.Route) []string {
	var names []string
	for _, r := range routes {
		service, _, found := strings.Cut(strings.TrimPrefix(r.Pattern, "POST /"), "/")
		if found && r.Late && (len(names) == 0 || names[len(names)-1] != service) {
			names = append(names, service)
		}
	}
	return names
}
