// Package balancer reads the request logs of clouds' load balancers and content
// networks: AWS ELB (application, classic and TLS of network load balancers) and
// CloudFront, and Azure's Application Gateway and Front Door with their firewalls.
// Google Cloud's is read by package gcp.
//
// The load balancer is the reporter (gateway), the target its upstream. A denial is
// only what the record proves to be a policy's: of AWS's or Azure's
// WAF. A 403 alone may be the target's own.
//
// It never panics on outside bytes.
package balancer

import (
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// Formats are the text layouts that this package reads.
var Formats = []facts.Format{
	{Name: "aws-alb", Platform: "aws", Kind: facts.Access, Of: "AWS, access log of an application load balancer"},
	{Name: "aws-elb", Platform: "aws", Kind: facts.Access, Of: "AWS, access log of a classic load balancer"},
	{Name: "aws-nlb", Platform: "aws", Kind: facts.Access, Of: "AWS, TLS access log of a network load balancer"},
	{Name: "aws-cloudfront", Platform: "aws", Kind: facts.Access, Of: "AWS, standard log of CloudFront"},
}

// Tables are the JSON layouts.
var Tables = []*table.Table{gateway, gatewayFirewall, frontDoor, frontDoorFirewall}

// Platforms may be declared for text of this package.
var Platforms = []string{"aws"}
