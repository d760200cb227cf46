package app

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

func TestTheIdentityIsUsableAsItWasWhenLastAsked(t *testing.T) {
	t.Parallel()
	var answer error
	i := watchIdentity(credential(func() (azcore.AccessToken, error) { return azcore.AccessToken{Token: "t"}, answer }))
	ask := func(ctx context.Context, scope string) {
		t.Helper()
		if token, err := i.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}}); token.Token != "t" || !errors.Is(err, answer) {
			t.Errorf("token %q, error %v", token.Token, err)
		}
	}
	want := func(when string, lines ...string) {
		t.Helper()
		if got := strings.Join(i.failing(), "|"); got != strings.Join(lines, "|") {
			t.Errorf("%s: %q, want %q", when, got, lines)
		}
	}
	want("before the first time")
	answer = errors.New("AADSTS700016: unknown client\nTrace ID: 1")
	ask(t.Context(), "bus")
	ask(t.Context(), "batch")
	want("refused for both", "no token for batch: AADSTS700016: unknown client", "no token for bus: AADSTS700016: unknown client")
	answer = nil
	ask(t.Context(), "batch")
	want("granted for one", "no token for bus: AADSTS700016: unknown client")
	ask(t.Context(), "bus")
	want("granted for both")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	answer = context.Canceled
	ask(ended, "bus")
	want("nobody waited for the answer")
	answer = errors.New(strings.Repeat("\u00e9", 1000))
	ask(t.Context(), "bus")
	if line := i.failing()[0]; len(line) > longestDetail+50 || !strings.HasSuffix(line, "\u00e9...") {
		t.Errorf("%d bytes: %s", len(line), line)
	}
}
