package aws

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

var s3Format = facts.Format{Name: "aws-s3-access", Platform: "aws", Kind: facts.Access, Of: "server access logs of Amazon S3"}

// S3 reads server access logs:
//
//	OWNER BUCKET [02/Jan/2006:15:04:05 +0000] ADDRESS REQUESTER REQUEST-ID OPERATION KEY "REQUEST" STATUS ERROR SENT SIZE TOTAL TURNAROUND "REFERER" "AGENT" VERSION HOST-ID SIGNATURE CIPHER AUTH HOST TLS ARN ACL
//
// The columns from HOST-ID on came one by one over the years, and more may come.
// The zero S3 is ready to use.
type S3 struct{}

// The columns.
const (
	s3Bucket = iota
	s3Time
	s3Address
	s3Requester
	s3Request
	s3Operation
	s3Key
	s3URI
	s3Status
	s3Error
	s3Sent
	s3Size
	s3Total
	s3Turnaround
	s3Referer
	s3Agent
	s3Version
	s3HostID
	s3Signature
	s3Cipher
	s3Auth
	s3Host
	s3TLS
	s3ARN
	s3Columns
)

// Text implements facts.Line.
func (S3) Text(line []byte, o *facts.Out) bool {
	if len(line) < 100 || line[64] != ' ' || !facts.Hex(line[:64]) {
		return false
	}
	var v [s3Columns][]byte
	n := 0
	for rest := line[65:]; len(rest) > 0 && n < s3Columns; n++ {
		switch rest[0] {
		case '[':
			v[n], rest = facts.CutByte(rest[1:], ']')
		case '"': // AWS escapes no quotes: one that a space follows ends it
			end := bytes.Index(rest[1:], []byte(`" `))
			if end < 0 {
				return false
			}
			v[n], rest = rest[1:1+end], rest[end+2:]
		default:
			v[n], rest = facts.CutByte(rest, ' ')
			continue
		}
		rest = bytes.TrimPrefix(rest, []byte(" "))
	}
	ns, used := facts.ClockStamp(v[s3Time])
	if n <= s3Agent || used == 0 || used != len(v[s3Time]) {
		return false
	}
	o.Format, o.Status = s3Format.Name, facts.OK
	if !o.Fixed {
		o.Time = ns
	}
	o.Derive(field.CloudProvider, "aws")
	o.Derive(field.EventProvider, "s3.amazonaws.com")
	s3Who(o, &v)
	s3What(o, &v)
	return true
}

func s3Who(o *facts.Out, v *[s3Columns][]byte) {
	o.StrOf(field.ClientAddress, v[s3Address])
	o.StrOf(field.UserID, v[s3Requester])
	if _, path := resourceOf(v[s3Requester]); path != nil {
		o.DeriveBytes(field.UserName, facts.Last(path, '/'))
	}
	o.StrOf(field.AWSRequestID, v[s3Request])
	o.StrOf(field.UserAgentOriginal, v[s3Agent])
	o.StrOf(field.HTTPRequestHeaderReferer, v[s3Referer])
	o.StrOf(field.TLSCipher, v[s3Cipher])
	o.StrOf(field.ServerAddress, v[s3Host])
	if !facts.Absent(v[s3TLS]) { // TLSv1.2, once TLSV1.2
		o.DeriveBytes(field.TLSProtocolVersion, v[s3TLS][min(len("TLSv"), len(v[s3TLS])):])
	}
}

func s3What(o *facts.Out, v *[s3Columns][]byte) {
	o.StrOf(field.EventAction, v[s3Operation])
	if bucket := v[s3Bucket]; !facts.Absent(bucket) {
		var few [256]byte
		arn := append(append(few[:0], "arn:aws:s3:::"...), bucket...)
		if key := v[s3Key]; !facts.Absent(key) {
			arn = append(append(arn, '/'), key...)
		}
		o.DeriveBytes(field.CloudResourceID, arn)
	}
	if uri := v[s3URI]; !facts.Absent(uri) {
		method, rest := facts.CutByte(uri, ' ')
		if i := bytes.LastIndexByte(rest, ' '); i > 0 {
			o.Method(method)
			o.URL(rest[:i])
			o.Protocol(rest[i+1:])
		}
	}
	number := func(f field.ID, b []byte, unit int64) {
		if n, ok := facts.Uint(b); ok && n < 1e12 {
			o.Int(f, n*unit)
		}
	}
	number(field.HTTPResponseBodySize, v[s3Sent], 1)
	number(field.MeshDurationNS, v[s3Total], 1e6)
	number(field.MeshUpstreamDurationNS, v[s3Turnaround], 1e6)
	o.StrOf(field.ErrorCode, v[s3Error])
	status, ok := facts.Uint(v[s3Status])
	if !ok {
		return
	}
	o.Int(field.HTTPResponseStatusCode, status)
	if status < 400 {
		o.Derive(field.EventOutcome, facts.Success)
		return
	}
	o.Derive(field.EventOutcome, facts.Failure)
	if refused(v[s3Error]) || string(v[s3Error]) == "AllAccessDisabled" {
		o.Denied("iam")
	}
}
