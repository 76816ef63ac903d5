package receive

import "github.com/meshtrail/meshtrail/internal/fault"

// Part says of each error in err in which part of a receiver's configuration it
// is: "udp.allow: …".
func Part(name string, err error) []error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok { // what errors.Join made
		var out []error
		for _, e := range many.Unwrap() {
			out = append(out, Part(name, e)...)
		}
		return out
	}
	return []error{fault.WithHint(fault.Errorf(fault.KindOf(err), "%s.%w", name, err), fault.HintOf(err))}
}
