package dashboard

// objective is what the error budget is counted by: this share of the requests ends within a minute of being sent.
const objective = "0.99"

// within is the bucket of a minute; Prometheus 3 writes 60 as 60.0.
const within = `le=~"60(.0)?"`

var trouble = []state{{"0", "fine", "semi-dark-green"}, {"1", "some", "orange"}, {"2", "yes", "red"}}

func overview() row {
	return row{title: "Is it fine?", panels: []panel{
		{kind: stat, w: 3, h: 4, title: "Error budget left", unit: "percentunit", decimals: number(0), max: number(1.0),
			shows: "How much is left of the 1 % of requests that may take longer than a minute from being sent to their end, dead-lettered ones included, over 30 days. Spent: the objective of 99 % is missed.",
			do:    "While it falls, look at the strip below for what is wrong. When it is spent, put changes off until it has recovered.", runbook: "BatchTerminatorLateFast, BatchTerminatorLateSlow",
			steps: from("red", 0.001, "orange", 0.5, "green"), states: []state{{"0", "spent", "red"}},
			queries: []query{{`clamp_min(1 - (1 - sum(increase(end_to_end_seconds_bucket{@,since="first_enqueued",` + within + `}[30d])) / sum(increase(end_to_end_seconds_count{@,since="first_enqueued"}[30d]))) / (1 - ` + objective + `), 0)`, "left"}}},
		{kind: stat, w: 3, h: 4, title: "Backlog", unit: "short",
			shows: "Messages in the queue that are due, those at work included, as Service Bus counts them. It comes a few minutes late.",
			do:    "Rising while everything else is green: more replicas or concurrency. Rising with something red: mend that first.", runbook: "BatchTerminatorSaturated, BatchTerminatorStuck",
			steps:   from("green", 1000.0, "orange", 10000.0, "red"),
			metrics: []azureQuery{{queue, "ActiveMessages", "Maximum", "backlog"}}},
		{kind: stat, w: 3, h: 4, title: "Oldest message", unit: "s", decimals: number(0),
			shows: "Age of the message received last, since its sender sent it; the oldest of all replicas, 0 when the queue is empty. While nothing is received it stands still: see the panels to the right.",
			do:    "Rising: messages arrive faster than they are worked on, or a gate was closed. Look at the strip below, then at Saturation.", runbook: "BatchTerminatorSaturated, BatchTerminatorStuck",
			steps:   from("green", 60.0, "orange", 900.0, "red"),
			queries: []query{{`max(oldest_message_age_seconds{@})`, "age"}}},
		{kind: stat, w: 3, h: 4, title: "Gates", unit: "none",
			shows: "The worst gate of any Batch account in any replica. A closed gate stops intake for that account: nothing is fetched to be failed.",
			do:    "Closed: the strip below says whether Batch refuses the identity, throttles, or is out. Gates open by themselves.", runbook: "BatchTerminatorGateClosedAuth, BatchTerminatorGateClosedOutage, BatchTerminatorGateClosedThrottle",
			steps: from("green", 1.0, "orange", 2.0, "red"), states: []state{{"0", "open", "green"}, {"1", "probing", "orange"}, {"2", "closed", "red"}},
			queries: []query{{`max(gate_state{@e})`, "state"}}},
		{kind: stat, w: 3, h: 4, title: "Service Bus link", unit: "percentunit", decimals: number(0),
			shows: "Share of the replicas that have a receiver attached to the queue.",
			do:    "Below 100 % for minutes: /readyz of a detached replica and its log say why: network, queue, or identity.", runbook: "BatchTerminatorReceiverDown",
			steps:   from("red", 0.01, "orange", 1.0, "green"),
			queries: []query{{`avg(receiver_attached{@})`, "attached"}}},
		{kind: stat, w: 3, h: 4, title: "Dead letters, 1 h", unit: "short", decimals: number(0),
			shows: "Requests that this hour's deliveries put aside for a person.",
			do:    "Throughput shows the outcome. List them with batch-terminator dlq; mend the sender, then send them again.", runbook: "BatchTerminatorDeadLettering",
			steps:   from("green", 0.5, "orange", 100.0, "red"),
			queries: []query{{`sum(increase(settlements_total{@,settlement="dead-letter",result="ok"}[1h]))`, "dead-lettered"}}},
		{kind: stat, w: 3, h: 4, title: "Finished", unit: "mps", decimals: number(1),
			shows: "Requests per second that came to their end, completed or dead-lettered.",
			do:    "Near 0 while there is a backlog: look at the strip below.", runbook: "BatchTerminatorSaturated, BatchTerminatorStuck", steps: from("blue"),
			queries: []query{{`sum(rate(settlements_total{@,settlement=~"complete|dead-letter",result="ok"}[@]))`, "finished"}}},
		{kind: stat, w: 3, h: 4, title: "Replicas", unit: "short", empty: "none",
			shows: "Replicas that report metrics. None is normal where the app may scale to zero and the queue is empty.",
			do:    "None with a backlog: the scaler or the image. Platform shows restarts.", runbook: "BatchTerminatorScrapeDown", steps: from("blue"),
			queries: []query{{`count(build_info{@})`, "replicas"}}},
		{kind: timeline, w: 24, h: 9, title: "What is wrong, since when", unit: "none", states: trouble,
			shows: "Green: fine. Orange: in some replicas, once in a while, or a gate that lets one call through to see. Red: in all replicas, most of the time, or a closed gate.",
			do:    "Start with the topmost row that is not green: it tends to be the cause of those below it.", runbook: "Five faults and how they look", queries: troubles()},
	}}
}

// troubles are ordered from cause to effect.
func troubles() []query {
	rate := func(metric string) string { return `(sum(rate(` + metric + `[@])) > bool 0)` }
	some := func(good string) string { return `(min(` + good + `) == bool 0) + (max(` + good + `) == bool 0)` }
	much := func(part, of, share string) string {
		return `(sum(rate(` + part + `[@])) > bool 0) + (sum(rate(` + part + `[@])) > bool ` + share + ` * sum(rate(` + of + `[@])))`
	}
	gate := func(cause string) string { return `max(gate_state{@e,cause="` + cause + `"})` }
	return []query{
		{`min(intake_paused{@}) + max(intake_paused{@})`, "Paused by a person"},
		{some(`receiver_attached{@}`), "Service Bus out of reach"},
		{rate(`servicebus_throttled_total{@}`), "Service Bus throttles"},
		{some(`credential_usable{@}`), "Identity refused or missing"},
		{gate("auth"), "Batch refuses the identity"},
		{gate("outage"), "Batch out"},
		{gate("throttle"), "Batch throttles"},
		{much(`redeliveries_scheduled_total{@}`, `deliveries_total{@}`, "0.5"), "Requests come back later"},
		{much(`settlements_total{@,settlement="dead-letter"}`, `settlements_total{@}`, "0.1"), "Dead-lettering"},
		{much(`locks_lost_total{@}`, `deliveries_total{@}`, "0.05"), "Locks lost"},
		{rate(`panics_total{@}`) + ` * 2`, "Worker panics"},
	}
}
