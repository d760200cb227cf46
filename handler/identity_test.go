package handler

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"batchterminator/batchapi"
)

// Golden ids: a change here changes the identity of every request that is in a queue (promise P3).
var golden = []struct{ host, job, task, identity, id string }{
	{"contoso.westeurope.batch.azure.com", "nightly", "t-1", "m-1", "c37dad1b-1d9b-5980-a6fa-3b6530cbd2b0"},
	{"contoso.westeurope.batch.azure.com", "weekly:job-1", "t-1", "m-1", "a3a20fb4-dc1f-5d72-b56c-a4ca2d7bcaf1"},
	{"contoso.westeurope.batch.azure.com", "nightly", "t-1", "", "188773aa-3168-50e1-ad94-4a85a0390271"},
	{"127.0.0.1:8080", "nightly", "t-1", "M-1", "41af6d87-0269-523e-ba73-1a8a4ba9f508"},
}

func TestDerivedIDsAreTheLibrarys(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		part := func(name string) string { return rapid.StringN(0, 300, -1).Draw(t, name) }
		host, job, task, identity := part("host"), part("job"), part("task"), part("identity")
		name := strings.ToLower(host) + "\n" + strings.ToLower(job) + "\n" + strings.ToLower(task) + "\n" + identity
		if got, want := deriveRequestID(host, job, task, identity), uuid.NewSHA1(requestNamespace, []byte(name)).String(); got != want {
			t.Fatalf("%s, the library says %s", got, want)
		}
	})
}

func TestDerivedIDsAreFixed(t *testing.T) {
	t.Parallel()
	for _, g := range golden {
		if got := deriveRequestID(g.host, g.job, g.task, g.identity); got != g.id {
			t.Errorf("%s %s %s %q: %s, want %s", g.host, g.job, g.task, g.identity, got, g.id)
		}
	}
}

func TestDerivedIDsFoldTheCaseOfWhatBatchFolds(t *testing.T) {
	t.Parallel()
	want := deriveRequestID("contoso.westeurope.batch.azure.com", "nightly", "t-1", "m-1")
	if got := deriveRequestID("CONTOSO.WestEurope.batch.azure.com", "Nightly", "T-1", "m-1"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := deriveRequestID("contoso.westeurope.batch.azure.com", "nightly", "t-1", "M-1"); got == want {
		t.Error("message ids are case-sensitive, and two of them gave one request id")
	}
}

// Scorecard: M12.
func TestDerivedIDsAreEqualOnlyForOneRequest(t *testing.T) {
	t.Parallel()
	id := rapid.StringMatching(`[A-Za-z0-9_-]{1,8}`)
	parts := rapid.Custom(func(t *rapid.T) [4]string {
		return [4]string{
			rapid.SampledFrom([]string{host(contoso), host(fabrikam)}).Draw(t, "host"),
			id.Draw(t, "job"), id.Draw(t, "task"), rapid.String().Draw(t, "identity"),
		}
	})
	derive := func(p [4]string) string { return deriveRequestID(p[0], p[1], p[2], p[3]) }
	rapid.Check(t, func(t *rapid.T) {
		p, q := parts.Draw(t, "one"), parts.Draw(t, "other")
		if at := rapid.IntRange(0, 4).Draw(t, "only difference"); at < 4 {
			one := q[at]
			q = p
			q[at] = one
		}
		same := strings.EqualFold(p[1], q[1]) && strings.EqualFold(p[2], q[2]) && p[0] == q[0] && p[3] == q[3]
		if got := derive(p) == derive(q); got != same {
			t.Fatalf("%q and %q: equal ids %v, want %v", p, q, got, same)
		}
		if got := derive(p); got != derive(p) || !batchapi.IsGUID(got) || got[14] != '5' {
			t.Fatalf("%q: %s is not one UUID of version 5", p, got)
		}
	})
}

// Whatever form the endpoint has in the message, it is one request.
func TestTheRequestIDDoesNotDependOnTheEndpointsSpelling(t *testing.T) {
	t.Parallel()
	ids := map[string]bool{}
	for _, members := range []string{"", `"endpoint": "` + contoso + `"`, `"endpoint": "` + strings.ToUpper(contoso) + `/"`} {
		r := newHandler(t, &account{t: t, script: []answer{{call: terminate}}}).Handle(t.Context(), message(members))
		ids[r.ClientRequestID] = true
	}
	other := newHandler(t, &account{t: t, script: []answer{{call: terminate}}}).Handle(t.Context(), message(`"endpoint": "`+fabrikam+`"`))
	if len(ids) != 1 || ids[other.ClientRequestID] {
		t.Errorf("ids %v, of another account %s", ids, other.ClientRequestID)
	}
}
