package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// drillFault is what an on-call engineer has to recognise.
type drillFault struct {
	name, means string
	// begin breaks something; what mends it goes into the drill's ends.
	begin func(*drill)
}

func drillFaults() []drillFault {
	return []drillFault{
		{"throttle", "Batch answers every fourth call with 429 and a Retry-After of 5 s", func(d *drill) {
			d.batch(batchtest.Status(http.StatusTooManyRequests, "TooManyRequests", 5*time.Second), batchtest.EveryNth(4))
		}},
		{"outage", "Batch drops every second call and answers the others with 500", func(d *drill) {
			dropped := d.account.OnNext(batchtest.DropBeforeActing(), batchtest.Keep(), batchtest.EveryNth(2))
			failed := d.account.OnNext(batchtest.Status(http.StatusInternalServerError, "InternalError", batchtest.NoRetryAfter), batchtest.Keep())
			d.ends = func() { dropped.Remove(); failed.Remove() }
		}},
		{"auth", "Batch accepts the worker's token no more", func(d *drill) { d.batch(batchtest.Unauthorized()) }},
		{"unreachable", "no connection to Service Bus lives or comes about", func(d *drill) {
			refused := d.bus.OnNext(servicebustest.Connect, servicebustest.DropConnection(), servicebustest.Keep())
			d.bus.ResetConnections()
			d.ends = refused.Remove
		}},
		{"bad-messages", "a third of what is published breaks the message contract", func(d *drill) {
			d.bad.Store(true)
			d.ends = func() { d.bad.Store(false) }
		}},
	}
}

// batch breaks Batch until the fault ends.
func (d *drill) batch(f batchtest.Fault, opts ...batchtest.FaultOption) {
	d.ends = d.account.OnNext(f, append(opts, batchtest.Keep())...).Remove
}

// chosenDrill are the faults with these names, in this order; all if there are none.
func chosenDrill(names []string) (faults []drillFault, err error) {
	all := drillFaults()
	if len(names) == 0 {
		return all, nil
	}
	for _, name := range names {
		i := slices.IndexFunc(all, func(f drillFault) bool { return f.name == name })
		if i < 0 {
			var known []string
			for _, f := range all {
				known = append(known, f.name)
			}
			return nil, fmt.Errorf("there is no fault %q; want some of %s", name, strings.Join(known, ", "))
		}
		faults = append(faults, all[i])
	}
	return faults, nil
}
