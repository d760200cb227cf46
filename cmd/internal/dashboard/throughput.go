package dashboard

import (
	"strings"

	"batchterminator/handler"
)

// outcomeColors gives each decision its colour, so that a new kind of trouble is seen before it is read.
func outcomeColors() map[string]string {
	colors := map[string]string{}
	for decision, color := range map[handler.Decision]string{
		handler.Complete: "green", handler.DeadLetter: "red", handler.Redeliver: "orange", handler.Pause: "purple", handler.Leave: "blue",
	} {
		colors[strings.Join(outcomes(decision), "|")] = color
	}
	return colors
}

// outcomes are the names of those with the decision.
func outcomes(d handler.Decision) (names []string) {
	for _, o := range handler.Outcomes() {
		if o.Decision() == d {
			names = append(names, o.String())
		}
	}
	return names
}

func throughput() row {
	dead := strings.Join(outcomes(handler.DeadLetter), "|")
	return row{title: "Throughput by outcome", panels: []panel{
		{kind: lines, w: 12, h: 8, title: "Messages in and out", unit: "mps",
			shows: "What arrives, and what becomes of it. Received is the sum of the rest; a scheduled copy is received again later.",
			do:    "Scheduled near received: requests come back instead of ending, see Retries and redeliveries. Nothing received: see the strip on top.", runbook: "BatchTerminatorSaturated, BatchTerminatorStuck",
			colors: map[string]string{"received": "blue", "completed": "green", "dead-lettered": "red", "come back later": "orange", "abandoned": "purple", "not settled": "yellow"},
			queries: []query{
				{`sum(rate(messages_received_total{@}[@]))`, "received"},
				{`sum(rate(settlements_total{@,settlement="complete",result="ok"}[@]))`, "completed"},
				{`sum(rate(settlements_total{@,settlement="dead-letter",result="ok"}[@]))`, "dead-lettered"},
				{`sum(rate(settlements_total{@,settlement="redeliver",result="ok"}[@]))`, "come back later"},
				{`sum(rate(settlements_total{@,settlement="abandon",result="ok"}[@]))`, "abandoned"},
				{`sum(rate(settlements_total{@,result!="ok"}[@]))`, "not settled"},
			}},
		{kind: lines, w: 12, h: 8, title: "Deliveries by outcome", unit: "mps", stacked: true, colors: outcomeColors(),
			shows: "What each delivery ended as. Green completed, orange comes back later, purple pauses the account, red dead-lettered, blue left to the next delivery.",
			do:    "batch-terminator outcomes says what each name means and why.", runbook: "BatchTerminatorDeadLettering",
			queries: []query{{`sum by (outcome) (rate(deliveries_total{@}[@])) > 0`, "{{outcome}}"}}},
		{kind: lines, w: 8, h: 7, title: "Dead-lettered by reason", unit: "mps", stacked: true, empty: "none", colors: map[string]string{dead: "red"},
			shows: "Requests put aside for a person, by outcome. In ordinary times none.",
			do:    "invalid_message, endpoint_not_allowed: the sender is wrong. refused, condition_not_met: Batch says why on the message. List them with batch-terminator dlq.", runbook: "BatchTerminatorDeadLettering",
			queries: []query{{`sum by (outcome) (rate(deliveries_total{@,outcome=~"` + dead + `"}[@])) > 0`, "{{outcome}}"}}},
		{kind: lines, w: 8, h: 7, title: "Settlements that did not work", unit: "mps", stacked: true, empty: "none",
			shows: "Settlements by kind and how they ended, without those that worked. The outcome is remembered: the next delivery is only settled.",
			do:    "A few come with a lost connection. A steady rate: see Locks and link.", runbook: "BatchTerminatorLocksLost",
			queries: []query{{`sum by (settlement, result) (rate(settlements_total{@,result!="ok"}[@])) > 0`, "{{settlement}} {{result}}"}}},
		{kind: lines, w: 8, h: 7, title: "Finished by replica", unit: "mps",
			shows: "Requests that came to their end, by replica. Service Bus hands messages to whoever asks, so busy replicas differ little.",
			do:    "One at 0 beside busy others: look at its /readyz and log, and restart it if neither helps.", runbook: "BatchTerminatorCrashLoop",
			queries: []query{{`sum by ($replica_label) (rate(settlements_total{@,settlement=~"complete|dead-letter",result="ok"}[@]))`, "{{$replica_label}}"}}},
	}}
}

func latency() row {
	return row{title: "Latency", panels: []panel{
		{kind: lines, w: 8, h: 8, title: "From sent to finished", unit: "s", log: true,
			shows: "How long requests take from their sender to their end, over all retries and redeliveries. The objective counts those above a minute.",
			do:    "High here and low in the next panel: requests come back later, see Retries. High in both: they wait in the queue, see Saturation.", runbook: "BatchTerminatorLateFast",
			queries: quantiles(`end_to_end_seconds_bucket{@,since="first_enqueued"}`, "")},
		{kind: lines, w: 8, h: 8, title: "One delivery, from due to settled", unit: "s", log: true,
			shows: "How long one message takes from when it was due in the queue to its settlement: waiting, calls, settling.",
			do:    "Compare with the duration of Batch calls below: what is above it is waiting in the queue.", runbook: "BatchTerminatorLateFast",
			queries: quantiles(`end_to_end_seconds_bucket{@,since="enqueued"}`, "")},
		{kind: heatmap, w: 8, h: 8, title: "From sent to finished, all of them", unit: "s",
			shows: "Every request that finished, by how long it took. Two bands are two kinds of requests: those that went through at once, and those that came back.",
			do:    "A band that climbs is a backlog being worked off, oldest first.", runbook: "BatchTerminatorLateFast",
			queries: []query{{`sum by (le) (increase(end_to_end_seconds_bucket{@,since="first_enqueued"}[@]))`, "{{le}}"}}},
		{kind: lines, w: 8, h: 7, title: "Settlement", unit: "s", log: true,
			shows: "How long settlements take, p95 by kind, tries on other connections included.",
			do:    "Seconds: Service Bus is slow or connections break. See Locks and link.", runbook: "BatchTerminatorReceiverDown",
			queries: []query{{`histogram_quantile(0.95, sum by (le, settlement) (rate(settlement_duration_seconds_bucket{@}[@])))`, "{{settlement}} p95"}}},
		{kind: lines, w: 8, h: 7, title: "Since the last finished request", unit: "s",
			shows: "Time since any replica finished a request. Grows in a quiet night too: what counts is that nothing finishes while messages arrive.",
			do:    "Growing with a backlog: nothing gets to its end. The strip on top says why.", runbook: "BatchTerminatorSaturated, BatchTerminatorStuck",
			queries: []query{
				{`time() - max(last_finished_timestamp_seconds{@} > 0)`, "finished"},
				{`time() - max(last_receive_timestamp_seconds{@} > 0)`, "received"},
			}},
		{kind: lines, w: 8, h: 7, title: "Oldest message by replica", unit: "s",
			shows: "Age of the message that each replica received last, since it was sent.",
			do:    "A saw tooth that climbs: the backlog is worked off slower than it ages. Add replicas or concurrency.", runbook: "BatchTerminatorSaturated, BatchTerminatorStuck",
			queries: []query{{`max by ($replica_label) (oldest_message_age_seconds{@})`, "{{$replica_label}}"}}},
	}}
}
