package handler

import (
	"slices"
	"strconv"

	"batchterminator/batchapi"
)

// Row is one line of the table for people and programs to read: what came, what it means, why.
type Row struct {
	// Code is Batch's error code; "" where none decides.
	Code string
	// Status is one HTTP status, a range such as 400-499, or any; "" where no answer came.
	Status string
	// Cause is what else has to hold; "" where nothing has.
	Cause string
	// Outcome is what the delivery ends as.
	Outcome Outcome
	// Retried: the outcome stands only when the attempts within the delivery are spent.
	Retried bool
	// Checked: the task is read first, and found completed or gone it finishes the request.
	Checked bool
	// Why is the reason, in one line.
	Why string
	// ByStatus: the code is of another operation, so that the row follows from its status's.
	ByStatus bool
}

// Table returns every row, in the order in which they decide: codes, codes of other operations, statuses, causes, and
// what no failed call decides.
func Table() []Row {
	var rows []Row
	for _, r := range codeRules {
		rows = append(rows, r.row())
	}
	for _, e := range elsewhere {
		for _, code := range e.codes {
			answer := &batchapi.Error{StatusCode: e.status, Code: code}
			row := decide(statusRules, answer).row()
			row.Code, row.Status, row.Cause, row.ByStatus = code, strconv.Itoa(e.status), "", true
			row.Why = e.why + ", so its status decides: " + row.Why
			rows = append(rows, row)
		}
	}
	for _, r := range slices.Concat(statusRules, silenceRules, endRules, madeRules) {
		rows = append(rows, r.row())
	}
	return rows
}

func (r rule) row() Row {
	return Row{Code: r.code, Status: r.statuses(), Cause: r.cause, Outcome: r.Outcome, Retried: r.retry, Checked: r.check, Why: r.why}
}

// statuses renders the range that the rule is for.
func (r rule) statuses() string {
	switch {
	case r.code == "" && r.last == 0:
		return ""
	case r.last == 0, r.first == 100 && r.last == 599:
		return "any"
	case r.first == r.last:
		return strconv.Itoa(r.first)
	}
	return strconv.Itoa(r.first) + "-" + strconv.Itoa(r.last)
}
