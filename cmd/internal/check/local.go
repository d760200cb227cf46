package check

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"batchterminator/cmd/internal/app"
	"batchterminator/worker"
)

const (
	// longestCall is one Terminate Task: the service works on it for at most 30 s, and a margin for the answer.
	longestCall = 35 * time.Second
	// longestGrace is the most that Container Apps was seen to grant.
	longestGrace = 10 * time.Minute
)

func checkLocal(g *group, s app.Settings, o Options) {
	g.check("settings", "", func(context.Context) verdict {
		l := s.Limits()
		return pass("at most %d calls and %s for a delivery, %d deliveries for a request until it is given up after %s, %d messages under lock",
			l.Calls, brief(l.Delivery), l.Deliveries, brief(s.Retry.MaxAge), l.Held)
	})
	g.check("grace", "", func(context.Context) verdict { return judgeGrace(s.Worker.Grace) })
	g.check("listen", s.Operation.Listen, func(ctx context.Context) verdict { return checkListen(ctx, s.Operation.Listen, o.Deployed) })
}

func judgeGrace(grace time.Duration) verdict {
	drain := worker.DrainTime(grace)
	switch {
	case grace > longestGrace:
		return warn("set --grace (GRACE) and terminationGracePeriodSeconds to 10m or less", "%s is longer than platforms wait: the process is killed before it has handed back what it holds", brief(grace))
	case drain < longestCall:
		return pass("a stop leaves calls %s; one that takes longer is cut short and made again by another replica", brief(drain))
	}
	return pass("a stop leaves calls %s, which is enough for the longest", brief(drain))
}

func checkListen(ctx context.Context, address string, deployed bool) verdict {
	if address == "" {
		return warn("set --listen (LISTEN), such as :9090", "no address: no metrics and no probes are served")
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return warn("if that is not a worker that already runs here, set --listen (LISTEN) to another port", "the port is taken")
	case err != nil:
		return fail("set --listen (LISTEN) to an address of this machine, such as :9090", "%v", err)
	}
	_ = listener.Close() // nothing was accepted
	host, _, _ := net.SplitHostPort(address)
	ip, err := netip.ParseAddr(host)
	if loopback := strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback(); loopback && deployed {
		return fail("set --listen (LISTEN) to a port alone, such as :9090", "the platform's probes come from outside and do not reach %s", host)
	}
	return pass("the port is free")
}

// brief writes a duration without the units that are zero.
func brief(d time.Duration) string {
	if d == worker.Forever {
		return "ever"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
