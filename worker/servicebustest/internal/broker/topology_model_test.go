package broker

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The model walks the graph for each message and says where its copies must be. It knows no router and no order.
type graph struct {
	queues int
	// forwards is where queue i sends to: a queue, a topic ("t" and a number), or nowhere.
	forwards []string
	// topics are the targets of each topic's subscriptions; "" keeps the copy.
	topics [][]string
}

// walk appends where the copies of a message that enters at node end.
func (g graph) walk(node string, hops int, ends []string) []string {
	var i int
	if _, err := fmt.Sscanf(node, "t%d", &i); err == nil {
		for s, next := range g.topics[i] {
			ends = g.step(fmt.Sprintf("%s/Subscriptions/s%d", node, s), next, hops, ends)
		}
		return ends
	}
	if _, err := fmt.Sscanf(node, "q%d", &i); err != nil {
		panic(err)
	}
	return g.step(node, g.forwards[i], hops, ends)
}

func (g graph) step(at, next string, hops int, ends []string) []string {
	switch {
	case next == "":
		return append(ends, at)
	case hops == 4:
		return append(ends, at+"/$Transfer/$DeadLetterQueue")
	}
	return g.walk(next, hops+1, ends)
}

func drawGraph(r *rapid.T) graph {
	g := graph{queues: rapid.IntRange(1, 5).Draw(r, "queues")}
	nodes := []string{""}
	for i := range g.queues {
		nodes = append(nodes, fmt.Sprint("q", i))
	}
	topics := rapid.IntRange(0, 2).Draw(r, "topics")
	for i := range topics {
		nodes = append(nodes, fmt.Sprint("t", i))
	}
	for i := range g.queues {
		others := slices.DeleteFunc(slices.Clone(nodes), func(n string) bool { return n == fmt.Sprint("q", i) })
		g.forwards = append(g.forwards, rapid.SampledFrom(others).Draw(r, "forward"))
	}
	for range topics {
		g.topics = append(g.topics, rapid.SliceOfN(rapid.SampledFrom(nodes), 0, 3).Draw(r, "subscriptions"))
	}
	return g
}

// build makes the entities first and lets them forward then: a circle cannot be created at once.
func (g graph) build(p plan) {
	for i := range g.queues {
		p.queue(fmt.Sprint("q", i), Config{})
	}
	for i := range g.topics {
		p.topic(fmt.Sprint("t", i), Config{})
	}
	for i, next := range g.forwards {
		if _, err := p.Update(KindQueue, fmt.Sprint("q", i), Config{ForwardTo: next}); err != nil {
			p.t.Fatal(err)
		}
	}
	for i, subscriptions := range g.topics {
		for s, next := range subscriptions {
			p.subscription(fmt.Sprint("t", i), fmt.Sprint("s", s), Config{ForwardTo: next})
		}
	}
}

// stores are all places a message can be in.
func (g graph) stores() []string {
	var paths []string
	for i := range g.queues {
		paths = append(paths, fmt.Sprint("q", i))
	}
	for i, subscriptions := range g.topics {
		paths = append(paths, fmt.Sprint("t", i))
		for s := range subscriptions {
			paths = append(paths, fmt.Sprintf("t%d/Subscriptions/s%d", i, s))
		}
	}
	for _, path := range slices.Clone(paths) {
		paths = append(paths, path+"/$Transfer/$DeadLetterQueue")
	}
	return paths
}

func TestForwardingThroughAnyGraphLosesNothingAndDoublesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		g := drawGraph(r)
		synctest.Test(t, func(t *testing.T) {
			p := plan{NewNamespace(false), t}
			defer p.Close()
			g.build(p)
			want := make(map[string][]string)
			for i := range rapid.IntRange(1, 8).Draw(r, "messages") {
				id := fmt.Sprint("m", i)
				entry := fmt.Sprint("q", rapid.IntRange(0, g.queues-1).Draw(r, "entry"))
				if len(g.topics) > 0 && rapid.Bool().Draw(r, "to a topic") {
					entry = fmt.Sprint("t", rapid.IntRange(0, len(g.topics)-1).Draw(r, "topic"))
				}
				delay := time.Duration(rapid.IntRange(0, 1).Draw(r, "minutes")) * time.Minute
				send(t, p.resolve(entry), Message{ID: id, ScheduledFor: time.Now().Add(delay)})
				for _, end := range g.walk(entry, 0, nil) {
					want[end] = append(want[end], id)
				}
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			got := make(map[string][]string)
			for _, path := range g.stores() {
				if held := ids(p.resolve(path).Peek(0, 1<<20)); len(held) > 0 {
					slices.Sort(held)
					got[path] = held
				}
			}
			for _, held := range want {
				slices.Sort(held)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				r.Fatalf("places differ (-want +got):\n%s", diff)
			}
		})
	})
}
