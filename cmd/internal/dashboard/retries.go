package dashboard

func retries() row {
	return row{title: "Retries and redeliveries", panels: []panel{
		{kind: lines, w: 8, h: 8, title: "Come back later, by cause", unit: "mps", stacked: true, empty: "none",
			shows: "Copies scheduled for later because the request could not finish now. They cost no delivery and come back by themselves.",
			do:    "The cause names the fault: throttled, unavailable, network, auth_failed. Nothing to do here; mend the cause.", runbook: "BatchTerminatorGateClosedAuth, BatchTerminatorGateClosedOutage, BatchTerminatorGateClosedThrottle",
			queries: []query{{`sum by (cause) (rate(redeliveries_scheduled_total{@}[@])) > 0`, "{{cause}}"}}},
		{kind: lines, w: 8, h: 8, title: "Attempts for one request", unit: "none", decimals: number(1),
			shows: "Batch calls that a finished request took, over all its deliveries.",
			do:    "A mean above 1.5: Batch fails or throttles more than now and then. See Azure Batch.", runbook: "BatchTerminatorGateClosedOutage",
			queries: []query{
				{`sum(rate(attempts_sum{@}[@])) / sum(rate(attempts_count{@}[@]))`, "mean"},
				{`histogram_quantile(0.95, sum by (le) (rate(attempts_bucket{@}[@])))`, "p95"},
				{`histogram_quantile(0.99, sum by (le) (rate(attempts_bucket{@}[@])))`, "p99"},
			}},
		{kind: lines, w: 8, h: 8, title: "Completed at a later delivery", unit: "percentunit",
			shows: "Share of completions whose message had been delivered before: its lock was lost, or its process died. Copies scheduled for later do not count.",
			do:    "Above 1 %: look at Locks and link, and at the restarts under Platform.", runbook: "BatchTerminatorLocksLost",
			queries: []query{{`1 - sum(rate(delivery_count_bucket{@,le=~"1(.0)?"}[@])) / sum(rate(delivery_count_count{@}[@]))`, "delivered before"}}},
	}}
}

func saturation() row {
	return row{title: "Saturation and scaling", panels: []panel{
		{kind: lines, w: 8, h: 8, title: "Calls under way and their limit", unit: "short",
			shows: "Batch calls under way in all replicas, and how many there may be. The limit halves when Batch throttles and climbs back.",
			do:    "At the limit with a backlog: more replicas or a higher --concurrency, unless Batch throttles.", runbook: "BatchTerminatorSaturated, BatchTerminatorStuck",
			colors: map[string]string{"under way": "blue", "limit": "red"},
			queries: []query{
				{`sum(in_flight{@})`, "under way"},
				{`sum(concurrency_limit{@e})`, "limit"},
			}},
		{kind: lines, w: 8, h: 8, title: "Messages held, by what they wait for", unit: "short", stacked: true,
			shows: "Messages that the replicas hold the locks of: waiting for a place, being worked on, being settled.",
			do:    "Many waiting: locks burn on messages that nobody works on; set a smaller --ready-buffer. Many settling: Service Bus is slow.", runbook: "BatchTerminatorLocksLost",
			colors:  map[string]string{"waiting": "orange", "working": "blue", "settling": "purple"},
			queries: []query{{`sum by (state) (messages_held{@})`, "{{state}}"}}},
		{kind: lines, w: 8, h: 8, title: "Asked for and not yet delivered", unit: "short",
			shows: "Messages that the replicas have asked Service Bus for. Above 0 all the time: the queue has nothing more to give.",
			do:    "0 for long: everything is busy, a gate is closed, or a person has paused the intake.", runbook: "BatchTerminatorGateClosedAuth, BatchTerminatorGateClosedOutage, BatchTerminatorGateClosedThrottle",
			queries: []query{{`sum(credits_outstanding{@})`, "credit"}}},
		{kind: lines, w: 8, h: 7, title: "Work wanted", unit: "s",
			shows: "Seconds of work that the replicas know of and could do now; what waits behind a closed gate does not count. Divided by the concurrency it is the time to be done.",
			do:    "Growing: scale out. deploy/AUTOSCALING.md says how to scale on it.", runbook: "BatchTerminatorSaturated, BatchTerminatorStuck",
			queries: []query{{`sum(demand_seconds{@})`, "work"}}},
		{kind: lines, w: 8, h: 7, title: "Busy, by replica", unit: "percentunit", max: number(1.0),
			shows: "Calls under way as a share of the limit, by replica.",
			do:    "All near 100 %: scale out. One alone: it got the slow requests, or the others are not attached.", runbook: "BatchTerminatorSaturated, BatchTerminatorStuck",
			queries: []query{{`sum by ($replica_label) (in_flight{@}) / sum by ($replica_label) (concurrency_limit{@e})`, "{{$replica_label}}"}}},
		{kind: lines, w: 8, h: 7, title: "Replicas by version", unit: "short", stacked: true,
			shows: "Replicas that report metrics, by the version that they run.",
			do:    "Two versions for longer than a rollout: old replicas do not stop, or a revision hangs.", runbook: "BatchTerminatorScrapeDown",
			queries: []query{{`count by (version) (build_info{@})`, "{{version}}"}}},
	}}
}
