package check

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"batchterminator/cmd/internal/app"
	"batchterminator/worker"
)

// callLimit bounds one call, so that one that hangs leaves time for the others.
const callLimit = 10 * time.Second

// Options are what is not a setting of the worker.
type Options struct {
	// Deployed tells that the platform's probes come from outside of the network namespace: a container platform runs this.
	Deployed bool
}

// Run makes all checks of valid settings and ends when ctx does: what has had no answer by then has failed.
func Run(ctx context.Context, s app.Settings, services app.Services, o Options) Report {
	bus := &group{ctx: ctx, secrets: secrets(string(s.ServiceBus.ConnectionString))}
	accounts := make([]*group, len(services.Batch))
	var all sync.WaitGroup
	var entity entity
	all.Go(func() { entity = checkServiceBus(bus, s, services) })
	for i, client := range services.Batch {
		accounts[i] = &group{ctx: ctx}
		all.Go(func() { checkBatch(accounts[i], client, services.Credential) })
	}
	local := &group{ctx: ctx}
	checkLocal(local, s, o)
	all.Wait()

	results, clocks := append(local.results, bus.results...), bus.clocks
	for _, g := range accounts {
		results, clocks = append(results, g.results...), append(clocks, g.clocks...)
	}
	last := &group{ctx: ctx}
	last.check("clock", "", func(context.Context) verdict { return judgeClocks(clocks, entity) })
	return newReport(append(results, last.results...))
}

// Refused is the report when the settings are wrong: nothing else can be looked at.
func Refused(problems []error) Report {
	var results []Result
	for _, p := range problems {
		results = append(results, Result{Name: "settings", Status: Fail, Detail: oneLine(p.Error()), Action: "correct the setting; batch-terminator check --help lists them"})
	}
	return newReport(results)
}

// group is checks that are made one after another, by one goroutine, and may need each other.
type group struct {
	ctx     context.Context //nolint:containedctx // a group lives as long as its checks
	secrets *strings.Replacer
	results []Result
	clocks  []clock
}

// check makes one check unless one that it needs was not passed.
func (g *group) check(name, target string, f func(context.Context) verdict, needs ...string) {
	for _, r := range g.results {
		if slices.Contains(needs, r.Name) && (r.Status == Fail || r.Status == Skip) {
			g.skip(target, r.Name+" did not pass", name)
			return
		}
	}
	ctx, cancel := context.WithTimeout(g.ctx, callLimit)
	defer cancel()
	g.add(name, target, f(ctx))
}

// skip leaves out checks whose answer could only repeat what is known.
func (g *group) skip(target, because string, names ...string) {
	for _, name := range names {
		g.add(name, target, verdict{status: Skip, detail: "skipped because " + because})
	}
}

func (g *group) add(name, target string, v verdict) {
	detail := oneLine(v.detail)
	if g.secrets != nil {
		detail = oneLine(g.secrets.Replace(v.detail))
	}
	g.results = append(g.results, Result{Name: name, Target: target, Status: v.status, Detail: detail, Action: v.action})
}

// secrets takes the parts of a connection string that are secret out of what others say; nil when there are none. The parts
// that are short are left alone: nobody keeps a secret in four letters, and texts have many of those.
func secrets(connectionString string) *strings.Replacer {
	var pairs []string
	for part := range strings.SplitSeq(connectionString, ";") {
		key, value, _ := strings.Cut(part, "=")
		if value = strings.TrimSpace(value); len(value) > 4 && strings.HasPrefix(strings.ToLower(strings.TrimSpace(key)), "sharedaccess") && !strings.EqualFold(strings.TrimSpace(key), "SharedAccessKeyName") {
			pairs = append(pairs, value, "REDACTED")
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	return strings.NewReplacer(pairs...)
}

// entity is what the queue's settings came to, if they could be read.
type entity struct {
	worker.EntitySettings
	read bool
}
