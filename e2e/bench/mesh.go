package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// gelfBody writes records as GELF messages, each ended by a NUL.
func gelfBody(d *drawer, from, to int) []byte {
	var b []byte
	for i := from; i < to; i++ {
		e := d.draw(i)
		text := e.msg
		if e.upstream != nil {
			text = e.method + " " + e.path
		}
		b = fmt.Appendf(b, `{"version":"1.1","host":%q,"timestamp":%d.%06d,"level":6,"short_message":"%s"`, e.pod.name, e.at.Unix(), e.at.Nanosecond()/1000, text)
		e.each(func(name, v string) {
			if name != "level" {
				b = append(append(append(append(append(b, `,"_`...), name...), `":"`...), v...), '"')
			}
		}, func(name string, v int) {
			b = strconv.AppendInt(append(append(append(b, `,"_`...), name...), `":`...), int64(v), 10)
		})
		b = append(b, '}', 0)
	}
	return b
}

// zipkinProto writes records as Zipkin's ListOfSpans.
func zipkinProto(d *drawer, from, to int) []byte {
	var all []byte
	for i := from; i < to; i++ {
		e := d.draw(i)
		b := pbBytes(pbBytes(nil, 1, hexBytes(e.traceID)), 3, binary.BigEndian.AppendUint64(nil, uint64(i)+1))
		b = pbText(pbInt(b, 4, 2), 5, strings.ToLower(e.method)+" "+plainText(e.path))
		b = pbInt(pbTime(b, 6, uint64(e.at.UnixMicro())), 7, uint64(max(e.duration, 1))*1000)
		b = pbBytes(b, 8, pbText(nil, 1, e.pod.service))
		add := func(name, v string) { b = pbBytes(b, 11, pbText(pbText(nil, 1, name), 2, v)) }
		e.each(func(name, v string) {
			if name != "service" && name != "trace_id" {
				add(name, plainText(v))
			}
		}, func(name string, v int) { add(name, strconv.Itoa(v)) })
		all = pbBytes(all, 1, b)
	}
	return all
}

// Thrift's binary protocol, by hand.

func thField(b []byte, kind byte, id uint16) []byte {
	return binary.BigEndian.AppendUint16(append(b, kind), id)
}

func thText(b []byte, id uint16, v string) []byte {
	return append(binary.BigEndian.AppendUint32(thField(b, 11, id), uint32(len(v))), v...)
}

func thLong(b []byte, id uint16, v uint64) []byte {
	return binary.BigEndian.AppendUint64(thField(b, 10, id), v)
}

func thInt(b []byte, id uint16, v uint32) []byte {
	return binary.BigEndian.AppendUint32(thField(b, 8, id), v)
}

func thList(b []byte, id uint16, n int) []byte {
	return binary.BigEndian.AppendUint32(append(thField(b, 15, id), 12), uint32(n))
}

// jaegerThrift writes records as one Batch of Jaeger's, as its clients do.
func jaegerThrift(d *drawer, from, to int) []byte {
	b := append(thText(thField(nil, 12, 1), 1, "bench"), 0) // the Process
	b = thList(b, 2, to-from)
	var tags []byte
	for i := from; i < to; i++ {
		e, n := d.draw(i), 0
		tags = tags[:0]
		e.each(func(name, v string) {
			if name != "trace_id" {
				tags = append(thText(thInt(thText(tags, 1, name), 2, 0), 3, plainText(v)), 0)
				n++
			}
		}, func(name string, v int) {
			tags = append(thLong(thInt(thText(tags, 1, name), 2, 3), 6, uint64(v)), 0)
			n++
		})
		id := hexBytes(e.traceID)
		b = thLong(thLong(b, 1, binary.BigEndian.Uint64(id[8:])), 2, binary.BigEndian.Uint64(id))
		b = thText(thLong(thLong(b, 3, uint64(i)+1), 4, 0), 5, e.method+" "+plainText(e.path))
		b = thLong(thLong(thInt(b, 7, 1), 8, uint64(e.at.UnixMicro())), 9, uint64(max(e.duration, 1))*1000)
		b = append(append(thList(b, 10, n), tags...), 0)
	}
	return append(b, 0)
}

// alsMethods and alsProtocols are the numbers of Envoy's names.
var (
	alsMethods   = map[string]uint64{"GET": 1, "POST": 3, "PUT": 4, "DELETE": 5}
	alsProtocols = map[string]uint64{"HTTP/1.1": 2, "HTTP/2": 3}
)

// alsBody writes records as one message of Envoy's access log service. What the
// service has no field for, which is all of an application's log, is tags.
func alsBody(d *drawer, from, to int) []byte {
	node := pbBytes(nil, 1, pbText(pbText(nil, 1, "bench"), 2, "bench"))
	var entries []byte
	for i := from; i < to; i++ {
		e := d.draw(i)
		common := alsCommon(e)
		tag := func(name, v string) { common = pbBytes(common, 22, pbText(pbText(nil, 1, name), 2, plainText(v))) }
		e.each(func(name, v string) {
			switch name {
			case "cluster", "mesh", "namespace", "pod", "service", "trace_id", "level", "logger", "msg":
				tag(name, v)
			}
		}, func(string, int) {})
		b := pbInt(pbBytes(nil, 1, common), 2, alsProtocols[e.protocol])
		if e.upstream != nil {
			request := pbText(pbInt(nil, 1, alsMethods[e.method]), 3, e.upstream.service+"."+e.upstream.namespace+".svc.cluster.local:8080")
			request = pbText(pbText(pbText(request, 5, plainText(e.path)), 6, e.agent), 9, e.requestID)
			b = pbBytes(b, 3, pbInt(request, 12, uint64(e.received)))
			response := pbInt(pbBytes(nil, 1, pbInt(nil, 1, uint64(e.code))), 3, uint64(e.sent))
			b = pbBytes(b, 4, pbText(response, 6, e.details))
		}
		entries = pbBytes(entries, 1, b)
	}
	m := pbBytes(pbBytes(nil, 1, node), 2, entries)
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m))), m...)
}

// alsCommon writes an AccessLogCommon.
func alsCommon(e *entry) []byte {
	b := pbBytes(nil, 5, pbInt(pbInt(nil, 1, uint64(e.at.Unix())), 2, uint64(e.at.Nanosecond())))
	if e.upstream == nil {
		return b
	}
	address := func(n protowire.Number, ip string, port int) {
		b = pbBytes(b, n, pbBytes(nil, 1, pbInt(pbText(nil, 2, ip), 3, uint64(port))))
	}
	address(2, e.pod.ip, e.port)
	address(3, e.upstream.ip, 8080)
	address(13, e.upstream.ip, 8080)
	host := e.upstream.service + "." + e.upstream.namespace + ".svc.cluster.local"
	b = pbBytes(b, 4, pbText(nil, 3, "outbound_.8080_._."+host))
	b = pbText(pbText(b, 15, "outbound|8080||"+host), 19, "default")
	return pbBytes(b, 23, pbInt(pbInt(nil, 1, uint64(e.duration/1000)), 2, uint64(e.duration%1000)*1e6))
}

// ask asks for the fields under the names that the protocol gives them.
func (s *spoken) ask(ctx context.Context, q *query, w *workload) (answer, error) {
	if s.p.prefix == "" {
		return s.meshtrail.ask(ctx, q, w)
	}
	own := *q
	own.by = s.p.prefix + q.by
	own.meshtrail = strings.NewReplacer("{cluster", "{"+s.p.prefix+"cluster", "("+q.by, "("+own.by).Replace(q.meshtrail)
	return s.meshtrail.ask(ctx, &own, w)
}
