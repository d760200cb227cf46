package handler

import (
	"errors"

	"batchterminator/batchapi"
)

// Meaning is what the table makes of a call's error, for who calls Batch outside of a delivery: the outcome that a delivery
// would end as, why, and the error as one line without secrets.
func Meaning(err error) (o Outcome, why, detail string) {
	rules := silenceRules
	if _, answered := errors.AsType[*batchapi.Error](err); answered {
		rules = answerRules
	}
	r := decide(rules, err)
	return r.Outcome, r.why, describe(err)
}
