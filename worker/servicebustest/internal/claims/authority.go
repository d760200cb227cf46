package claims

import (
	"net/url"
	"strings"
	"time"
)

// Rule is a shared access rule.
type Rule struct {
	Key    string
	Rights Rights
}

// Claim is what a good token allows.
type Claim struct {
	Rights  Rights
	Expires time.Time // zero: never
}

// Authority judges tokens. It does not change once it is made.
type Authority struct{ rules map[string]Rule }

// NewAuthority returns an authority over rules by name. Without rules every well-formed signature that has not expired
// has all rights.
func NewAuthority(rules map[string]Rule) *Authority { return &Authority{rules} }

// SharedAccess judges a shared access signature for an audience. The error is a Refusal.
func (a *Authority) SharedAccess(token, audience string) (Claim, error) {
	s, ok := parse(token)
	if !ok {
		return Claim{}, Refusal("MalformedToken: not a shared access signature")
	}
	expires, ok := s.expires()
	if !ok {
		return Claim{}, Refusal("MalformedToken: expiry is not a number")
	}
	if !expires.After(time.Now()) {
		return Claim{}, Expired(expires)
	}
	if len(a.rules) == 0 {
		return Claim{All, expires}, nil
	}
	name, _ := url.QueryUnescape(s.rule) // what cannot be read names no rule
	rule, known := a.rules[name]
	if !known || !s.signedWith(rule.Key) {
		return Claim{}, Refusal("InvalidSignature: The token has an invalid signature.")
	}
	if !s.covers(audience) {
		return Claim{}, Refusal("InvalidAudience: the token is for another entity")
	}
	return Claim{rule.Rights, expires}, nil
}

// JWT judges a token of Microsoft Entra, which only says until when it is good. The error is a Refusal.
func (a *Authority) JWT(token string, expires time.Time) (Claim, error) {
	if token == "" {
		return Claim{}, Refusal("InvalidToken: the token is empty")
	}
	if !expires.IsZero() && !expires.After(time.Now()) {
		return Claim{}, Expired(expires)
	}
	return Claim{All, expires}, nil
}

// Authorization judges the Authorization header of an HTTP request for a URL. The Go SDK writes a JWT without "Bearer"
// before it. The error is a Refusal.
func (a *Authority) Authorization(header, url string) (Claim, error) {
	switch {
	case header == "":
		return Claim{}, Refusal("MissingToken: the Authorization header is missing")
	case strings.HasPrefix(header, scheme):
		return a.SharedAccess(header, url)
	}
	return a.JWT(strings.TrimPrefix(header, "Bearer "), time.Time{})
}

// Expired is what the holder of a token that ran out is told.
func Expired(at time.Time) Refusal {
	return Refusal("ExpiredToken: The token is expired. Expiration time: " + at.UTC().Format(time.RFC3339))
}
