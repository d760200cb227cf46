package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"batchterminator/handler"
	"batchterminator/worker"
)

// selection chooses dead letters; all that is given has to fit.
type selection struct {
	Reasons   []string      `name:"reason" sep:"none" placeholder:"REASON" help:"Those dead-lettered for this reason, as list prints it; repeat for several."`
	IDs       []string      `name:"id" sep:"none" placeholder:"ID" help:"The one with this message id, request id or sequence number; repeat for several."`
	OlderThan time.Duration `placeholder:"DURATION" help:"Those dead-lettered longer ago than this, such as 36h."`
	NewerThan time.Duration `placeholder:"DURATION" help:"Those dead-lettered since then."`
	Job       string        `placeholder:"ID" help:"Those of this job."`
	Task      string        `placeholder:"ID" help:"Those of tasks of this id."`
}

func (s selection) empty() bool {
	return len(s.Reasons) == 0 && len(s.IDs) == 0 && s.OlderThan == 0 && s.NewerThan == 0 && s.Job == "" && s.Task == ""
}

func (s selection) check() error {
	if s.OlderThan < 0 || s.NewerThan < 0 {
		return usageError{errors.New("--older-than, --newer-than: want more than 0s")}
	}
	return nil
}

// match returns the predicate, as of now.
func (s selection) match() func(worker.Stored) bool {
	now := time.Now()
	return func(m worker.Stored) bool {
		age := now.Sub(m.DeadSince())
		return (len(s.Reasons) == 0 || slices.Contains(s.Reasons, m.Reason)) &&
			(len(s.IDs) == 0 || slices.ContainsFunc(s.IDs, func(id string) bool { return named(m, id) })) &&
			(s.OlderThan == 0 || age > s.OlderThan) && (s.NewerThan == 0 || age <= s.NewerThan) &&
			(s.Job == "" && s.Task == "" || of(m, s.Job, s.Task))
	}
}

// named tells whether a message goes by the id.
func named(m worker.Stored, id string) bool {
	return id == m.MessageID || id == m.Request.RequestIdentity || id == strconv.FormatInt(m.SequenceNumber, 10)
}

// of tells whether a message is about the job and task, "" for any. Batch compares ids without case.
func of(m worker.Stored, job, task string) bool {
	r, err := handler.ReadRequest(m.Request)
	return err == nil && (job == "" || strings.EqualFold(r.JobID, job)) && (task == "" || strings.EqualFold(r.TaskID, task))
}

// counted names a quantity of dead letters.
func counted(n int) string {
	if n == 1 {
		return "1 dead letter"
	}
	return fmt.Sprintf("%d dead letters", n)
}
