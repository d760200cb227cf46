package simulate

import (
	"math/rand/v2"
	"net/http"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/cmd/sandbox/verdict"
)

// batchFaults are those of the whole account; those of a task are in kinds.go.
func batchFaults() []breakage {
	// most outages are short
	outages := []time.Duration{30 * time.Second, 2 * time.Minute, 20 * time.Minute, 2 * time.Hour}
	on := func(name string, weight int, f func() batchtest.Fault) breakage {
		return breakage{name: "Batch: " + name, weight: weight, lasts: outages, kind: verdict.Account, begin: func(s *simulation, _ *rand.Rand) func() {
			return s.account.OnNext(f(), batchtest.Keep()).Remove
		}}
	}
	status := func(code int) func() batchtest.Fault {
		return func() batchtest.Fault { return batchtest.Status(code, "", batchtest.NoRetryAfter) }
	}
	throttle := func() batchtest.Fault {
		return batchtest.Status(http.StatusTooManyRequests, "TooManyRequests", 5*time.Second)
	}
	slow := func() batchtest.Fault { return batchtest.Delay(3 * time.Second) }
	return []breakage{
		on("connections dropped", 3, batchtest.DropBeforeActing),
		on("connections dropped after acting", 3, batchtest.DropAfterActing),
		on("no answers", 2, batchtest.Hang),
		on("500", 2, status(http.StatusInternalServerError)),
		on("503", 3, status(http.StatusServiceUnavailable)),
		on("401", 2, batchtest.Unauthorized),
		on("403", 1, status(http.StatusForbidden)),
		on("404 of a gateway", 1, func() batchtest.Fault { return batchtest.HTML(http.StatusNotFound) }),
		on("502 of a gateway", 1, func() batchtest.Fault { return batchtest.HTML(http.StatusBadGateway) }),
		on("redirects", 1, func() batchtest.Fault { return batchtest.Redirect("https://elsewhere.example/") }),
		on("429", 3, throttle),
		on("slow", 3, slow),
	}
}
