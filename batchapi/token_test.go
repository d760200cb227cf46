package batchapi

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// authority numbers the tokens it issues; each takes a while.
type authority struct {
	mu       sync.Mutex // guards the fields below
	issued   int
	claims   []string
	err      error
	takes    time.Duration
	lifetime time.Duration
	refresh  time.Duration // RefreshOn after so long; 0: not named
	panics   bool
}

func (a *authority) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	select {
	case <-time.After(a.takes):
	case <-ctx.Done():
		return azcore.AccessToken{}, ctx.Err()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.issued++
	a.claims = append(a.claims, o.Claims)
	if a.panics {
		panic("credential bug")
	}
	if a.err != nil {
		return azcore.AccessToken{}, a.err
	}
	token := azcore.AccessToken{Token: fmt.Sprint("token", a.issued), ExpiresOn: time.Now().Add(a.lifetime)}
	if a.refresh > 0 {
		token.RefreshOn = time.Now().Add(a.refresh)
	}
	return token, nil
}

func (a *authority) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.issued
}

func (a *authority) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}

func want(t *testing.T, s *tokenSource, token string) uint64 {
	t.Helper()
	got, generation, err := s.get(t.Context())
	if err != nil || got != token {
		t.Errorf("token %q, error %v; want %q", got, err, token)
	}
	return generation
}

func TestManyCallersShareOneAcquisition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &authority{takes: time.Second, lifetime: time.Hour}
		s := newTokenSource(a, "scope")
		var callers sync.WaitGroup
		for range 64 {
			callers.Go(func() { want(t, s, "token1") })
		}
		callers.Wait()
		if a.count() != 1 {
			t.Errorf("%d acquisitions", a.count())
		}
	})
}

func TestABrokenCredentialIsAskedOnceForAllWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("invalid_client\r\n{\"access_token\":\"hunter2\"}")
		a := &authority{takes: time.Second, err: broken}
		s := newTokenSource(a, "scope")
		var callers sync.WaitGroup
		for range 64 {
			callers.Go(func() {
				_, _, err := s.get(t.Context())
				var credential *CredentialError
				if !errors.As(err, &credential) || !errors.Is(err, broken) {
					t.Errorf("error %v", err)
				}
				if text := err.Error(); text != `acquire token: invalid_client\r\n{"access_token":"REDACTED"}` {
					t.Errorf("text %s", text)
				}
			})
		}
		callers.Wait()
		if a.count() != 1 {
			t.Errorf("%d acquisitions", a.count())
		}
		a.fail(nil)
		a.lifetime = time.Hour
		want(t, s, "token2")
	})
}

func TestAWaiterTakesOverFromALeaderThatGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &authority{takes: 10 * time.Second, lifetime: time.Hour}
		s := newTokenSource(a, "scope")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var callers sync.WaitGroup
		callers.Go(func() {
			if _, _, err := s.get(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("leader: %v", err)
			}
		})
		synctest.Wait()
		callers.Go(func() { want(t, s, "token1") })
		callers.Go(func() { // a waiter has a context of its own
			start := time.Now()
			short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			if _, _, err := s.get(short); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 500*time.Millisecond {
				t.Errorf("waiter: %v after %v", err, time.Since(start))
			}
		})
		callers.Wait()
	})
}

func TestATokenIsReplacedBeforeItExpires(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]*authority{
		"five minutes before":      {lifetime: time.Hour},
		"when the authority named": {lifetime: 2 * time.Hour, refresh: 55 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTokenSource(a, "scope")
				want(t, s, "token1")
				time.Sleep(55*time.Minute - time.Second)
				want(t, s, "token1")
				time.Sleep(time.Second)
				want(t, s, "token2")
			})
		})
	}
}

// Scorecard: S10.
func TestAFailedEarlyRefreshKeepsTheTokenAndPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &authority{lifetime: time.Hour}
		s := newTokenSource(a, "scope")
		want(t, s, "token1")
		a.fail(errors.New("authority is down"))
		time.Sleep(56 * time.Minute)
		for range 10 {
			want(t, s, "token1")
		}
		if a.count() != 2 {
			t.Errorf("%d acquisitions, want one early refresh", a.count())
		}
		time.Sleep(4 * time.Minute)
		if _, _, err := s.get(t.Context()); err == nil {
			t.Error("an expired token was given out")
		}
	})
}

func TestOnlyARefusedTokenIsInvalidated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &authority{lifetime: time.Hour}
		s := newTokenSource(a, "scope")
		first := want(t, s, "token1")
		s.invalidate() // nothing was refused
		want(t, s, "token1")
		s.refused(first, "")
		s.invalidate()
		want(t, s, "token2")
		s.refused(first, "") // a late answer to the first token
		s.invalidate()
		want(t, s, "token2")
	})
}

func TestAClaimsChallengeReachesTheNextAcquisitionOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &authority{lifetime: time.Hour}
		s := newTokenSource(a, "scope")
		const claims = `{"access_token":{"nbf":{"essential":true}}}`
		challenge := http.Header{"Www-Authenticate": {
			`Bearer authorization_uri="https://login.example/", error="insufficient_claims", claims="` + base64.StdEncoding.EncodeToString([]byte(claims)) + `"`,
		}}
		for range 2 {
			_, generation, _ := s.get(t.Context())
			s.refused(generation, claimsChallenge(challenge))
			s.invalidate()
			challenge = http.Header{"Www-Authenticate": {`Bearer claims="!", Basic`, `Bearer claims="%%"`}}
		}
		want(t, s, "token3")
		if a.claims[0] != "" || a.claims[1] != claims || a.claims[2] != anyNewToken {
			t.Errorf("claims %q", a.claims)
		}
	})
}

// claimless is a developer tool's credential.
type claimless struct{ authority }

func (c *claimless) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if token, err := c.authority.GetToken(ctx, o); o.Claims == "" || err != nil {
		return token, err
	}
	return azcore.AccessToken{}, errors.New("claims are for the command line")
}

func TestACredentialThatTakesNoClaimsIsAskedWithout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &claimless{authority{lifetime: time.Hour}}
		s := newTokenSource(c, "scope")
		first := want(t, s, "token1")
		s.refused(first, "")
		s.invalidate()
		second := want(t, s, "token3") // the second was refused for its claims
		s.refused(second, "the service's own")
		s.invalidate()
		if _, _, err := s.get(t.Context()); err == nil {
			t.Error("the service's claims were left out")
		}
	})
}

func TestAPanicInTheCredentialDoesNotStrandTheWaiters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &authority{takes: time.Second, lifetime: time.Hour, panics: true}
		s := newTokenSource(a, "scope")
		var callers sync.WaitGroup
		callers.Go(func() {
			defer func() { _ = recover() }()
			_, _, _ = s.get(t.Context())
			t.Error("the panic was swallowed")
		})
		synctest.Wait()
		callers.Go(func() {
			if _, _, err := s.get(t.Context()); err == nil {
				t.Error("a waiter got a token from a panic")
			}
		})
		callers.Wait()
	})
}

func TestATokenNoHeaderCanCarryIsACredentialError(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"", "a b", "a\r\nX: y", "é"} {
		s := newTokenSource(fixedToken(token), "scope")
		var credential *CredentialError
		if _, _, err := s.get(t.Context()); !errors.As(err, &credential) {
			t.Errorf("%q: %v", token, err)
		}
	}
}

type fixedToken string

func (f fixedToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(f), ExpiresOn: time.Now().Add(time.Hour)}, nil
}
