package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// watchedIdentity is a credential that remembers how asking for its tokens went last. It is safe for concurrent use.
type watchedIdentity struct {
	azcore.TokenCredential
	mu       sync.Mutex
	failures map[string]error // by scope; under mu
}

// watchIdentity watches a credential; with nil, nothing ever fails.
func watchIdentity(c azcore.TokenCredential) *watchedIdentity {
	return &watchedIdentity{TokenCredential: c, failures: map[string]error{}}
}

// GetToken implements [azcore.TokenCredential].
func (i *watchedIdentity) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := i.TokenCredential.GetToken(ctx, options)
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return token, err // it was not waited for, which says nothing
	}
	scopes := strings.Join(options.Scopes, " ")
	i.mu.Lock()
	defer i.mu.Unlock()
	if delete(i.failures, scopes); err != nil {
		i.failures[scopes] = err
	}
	return token, err
}

// failing returns what asking for a token came to, one line for each scope for which it failed last.
func (i *watchedIdentity) failing() (lines []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for scopes, err := range i.failures {
		lines = append(lines, "no token for "+scopes+": "+inOneLine(err.Error()))
	}
	slices.Sort(lines)
	return lines
}

// longestDetail bounds what is told of an error.
const longestDetail = 300

// inOneLine is the first line of a text, cut where it gets long.
func inOneLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	if len(s) > longestDetail {
		s = strings.ToValidUTF8(s[:longestDetail], "") + "..."
	}
	return s
}
