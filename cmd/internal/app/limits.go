package app

import (
	"batchterminator/handler"
	"batchterminator/worker"
)

// Limits is what the settings come to in the worst case, for the line that a start logs.
type Limits struct {
	handler.Worst
	// Operations is the most Service Bus operations of one delivery, as they are billed, while Service Bus itself works.
	Operations int
	// Held is the most messages under lock at once that wait for a call or are called for.
	Held int
}

// Limits returns the arithmetic of valid settings.
func (s *Settings) Limits() Limits {
	buffer := int(s.Worker.ReadyBuffer)
	if buffer < 0 {
		buffer = s.Worker.Concurrency / 4
	}
	worst := handler.WorstCase(s.Retry.retry(), s.Retry.redelivery())
	return Limits{Worst: worst, Operations: worker.Operations(worst.Delivery), Held: s.Worker.Concurrency + buffer}
}
