package batchapi

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

const (
	// refreshMargin is how long before its expiry a token is replaced when the
	// authority does not name a time.
	refreshMargin = 5 * time.Minute

	// refreshPause separates attempts to replace a token that is still good.
	refreshPause = 30 * time.Second
)

// anyNewToken are claims that every token answers. Credentials keep tokens of
// their own and return those, refused or not, unless they are given claims.
const anyNewToken = `{"access_token":{"nbf":{"essential":true}}}`

// tokenSource caches one token. Acquisition runs on the goroutine of one caller,
// the leader, while the others wait under their own contexts; there is no
// goroutine to own. A leader that gives up because its own context ended hands
// the lead to a waiter; any other failure is shared, so that a broken credential
// is asked once, not once for each message in flight.
type tokenSource struct {
	cred   azcore.TokenCredential
	scopes []string

	// mu guards all that follows. It is never held across an acquisition.
	mu          sync.Mutex
	token       azcore.AccessToken // zero: none
	generation  uint64             // counts acquired tokens; token has this number
	refusedUpTo uint64             // the latest generation the service has refused
	claims      string             // from the service's challenge, or anyNewToken, for the next acquisition
	refreshNext time.Time          // a good token is not replaced before this
	flight      *flight            // the acquisition under way, if any
}

// flight is one acquisition. Its leader writes the fields before it closes done;
// others read them after.
type flight struct {
	done       chan struct{}
	token      string
	generation uint64
	err        error
	abandoned  bool // the leader's own context ended
}

func newTokenSource(cred azcore.TokenCredential, scope string) *tokenSource {
	return &tokenSource{cred: cred, scopes: []string{scope}}
}

// get returns a token and its generation, acquiring one where needed.
func (s *tokenSource) get(ctx context.Context) (string, uint64, error) {
	for {
		s.mu.Lock()
		now := time.Now()
		good := s.token.Token != "" && now.Before(s.token.ExpiresOn)
		if good && (s.flight != nil || now.Before(s.refreshAt())) {
			defer s.mu.Unlock()
			return s.token.Token, s.generation, nil
		}
		f := s.flight
		if f == nil {
			f = &flight{done: make(chan struct{})}
			s.flight, s.refreshNext = f, now.Add(refreshPause)
			old, oldGeneration, claims := s.token.Token, s.generation, s.claims
			s.mu.Unlock()
			s.acquire(ctx, f, claims)
			if f.err != nil && good {
				return old, oldGeneration, nil // an early refresh may fail
			}
			return f.token, f.generation, f.err
		}
		s.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return "", 0, &CredentialError{Err: ctx.Err()}
		}
		if !f.abandoned {
			return f.token, f.generation, f.err
		}
	}
}

// refreshAt is when a good token is due for replacement; mu is held.
func (s *tokenSource) refreshAt() time.Time {
	due := s.token.RefreshOn
	if due.IsZero() {
		due = s.token.ExpiresOn.Add(-refreshMargin)
	}
	if due.Before(s.refreshNext) {
		return s.refreshNext
	}
	return due
}

// acquire runs flight f on the leader's goroutine. The deferred half also runs
// when the credential panics: waiters must not wait for a leader that is gone.
func (s *tokenSource) acquire(ctx context.Context, f *flight, claims string) {
	var token azcore.AccessToken
	err := errors.New("credential panicked")
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil {
			f.err = &CredentialError{Err: err}
			f.abandoned = ctx.Err() != nil
		} else {
			s.generation++
			s.token = token
			if s.claims == claims {
				s.claims = ""
			}
			f.token, f.generation = token.Token, s.generation
		}
		s.flight = nil
		close(f.done)
	}()
	token, err = s.ask(ctx, claims)
	if err != nil && claims == anyNewToken && !(&CredentialError{Err: err}).Temporary() {
		// Developer tools take no claims; they run anew for each token anyway.
		token, err = s.ask(ctx, "")
	}
	if err == nil && !isHeaderToken(token.Token) {
		err = errors.New("credential returned a token that no header can carry")
	}
}

func (s *tokenSource) ask(ctx context.Context, claims string) (azcore.AccessToken, error) {
	return s.cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: s.scopes, Claims: claims, EnableCAE: true})
}

// refused notes that the service would not have the token of this generation.
func (s *tokenSource) refused(generation uint64, claims string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusedUpTo = max(s.refusedUpTo, generation)
	if claims != "" && generation == s.generation {
		s.claims = claims
	}
}

// invalidate drops the token if it is one that was refused, and sees to it that
// the credential does not return the same one again.
func (s *tokenSource) invalidate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation == 0 || s.generation > s.refusedUpTo {
		return
	}
	s.token = azcore.AccessToken{}
	if s.claims == "" {
		s.claims = anyNewToken
	}
}

func isHeaderToken(token string) bool {
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return false
		}
	}
	return token != ""
}

// claimsParameter is found in a challenge of continuous access evaluation:
// WWW-Authenticate: Bearer error="insufficient_claims", claims="{base64}".
var claimsParameter = regexp.MustCompile(`(?i)\bclaims="([A-Za-z0-9+/=_-]+)"`)

// claimsChallenge returns the claims, decoded, that the next token must answer.
func claimsChallenge(h http.Header) string {
	for _, challenge := range h.Values("WWW-Authenticate") {
		m := claimsParameter.FindStringSubmatch(challenge)
		if m == nil {
			continue
		}
		if claims, err := base64.StdEncoding.DecodeString(m[1]); err == nil {
			return string(claims)
		}
	}
	return ""
}
