package servicebustest

import "batchterminator/worker/servicebustest/internal/claims"

// Right is something that the holder of a token may do.
type Right = claims.Rights

// The rights of shared access rules. RightManage does not stand for the other two.
const (
	RightManage = claims.Manage
	RightSend   = claims.Send
	RightListen = claims.Listen
)

// WithSharedAccessRule adds a shared access rule to the namespace, and has the server ask for claims as WithClaims does:
// shared access signatures must be signed with the key of a rule, and give the rule's rights; without any named, all of
// them. May be repeated.
func WithSharedAccessRule(name, key string, rights ...Right) Option {
	rule := claims.Rule{Key: key}
	for _, r := range rights {
		rule.Rights |= r
	}
	if len(rights) == 0 {
		rule.Rights = claims.All
	}
	return func(s *settings) {
		if s.rules == nil {
			s.rules = make(map[string]claims.Rule)
		}
		s.rules[name] = rule
		s.claims = true
	}
}

// WithClaims has the server ask for claims as Service Bus does: a link needs a token for its entity that was put to
// $cbs on the same connection, and is detached when the token expires before a new one came; HTTP requests need a
// token too. Without rules every well-formed token is good and gives all rights, as a JWT always does. Without this
// option nobody needs a token.
func WithClaims() Option { return func(s *settings) { s.claims = true } }
