package claims

import "strings"

// Rights is a set of what a token may do.
type Rights uint8

// The rights of a shared access rule. Service Bus: Manage is given only together with the other two, but does not
// stand for them.
const (
	Manage Rights = 1 << iota
	Send
	Listen

	All = Manage | Send | Listen
)

// String lists the rights as refusals name them.
func (r Rights) String() string {
	var names []string
	for i, name := range []string{"Manage", "Send", "Listen"} {
		if r&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// Refusal is why something is not allowed, in the words of Service Bus: clients match them.
type Refusal string

// Error makes it a Go error.
func (r Refusal) Error() string { return string(r) }

// missing is the refusal of whoever has none of the rights.
func missing(needed Rights, entity string) Refusal {
	return Refusal("Unauthorized access. '" + needed.String() + "' claim(s) are required to perform this operation. Resource: '" + entity + "'.")
}
