package handler

// How an answer meets THE table, which is table.go.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"batchterminator/batchapi"
)

// verdict is what one answer means for the request: an outcome, whether trying again within this delivery may help, and
// whether the task has to be read before anything is decided.
type verdict struct {
	Outcome
	// retry: try again in process before the outcome stands.
	retry bool
	// check: one Get Task decides; completed or gone finish the request, anything else leaves the outcome as it is.
	check bool
}

// final verdicts stand at once, again verdicts stand when the attempts are spent.
func final(o Outcome) verdict { return verdict{Outcome: o} }
func again(o Outcome) verdict { return verdict{Outcome: o, retry: true} }
func check(o Outcome) verdict { return verdict{Outcome: o, check: true} }

// rule gives one kind of answer its verdict.
type rule struct {
	// code is Batch's error code, compared without case; "" fits any. Code decides before status does: 403 is both a refused
	// token and a passing I/O error.
	code string
	// first and last bound the HTTP status; 0 and 0 fit any.
	first, last int
	// cause is in words what when tests; a nil when holds always.
	cause string
	when  func(error) bool
	// why is one line for the person who asks.
	why string
	verdict
}

// fits tells whether the rule is for a failure, which may have an answer.
func (r rule) fits(err error) bool {
	if r.when != nil && !r.when(err) {
		return false
	}
	answer, ok := errors.AsType[*batchapi.Error](err)
	return !ok || (r.code == "" || strings.EqualFold(r.code, answer.Code)) && (r.last == 0 || r.first <= answer.StatusCode && answer.StatusCode <= r.last)
}

// decide returns the first rule that fits, and the last one for what none fits.
func decide(rules []rule, err error) rule {
	i := slices.IndexFunc(rules, func(r rule) bool { return r.fits(err) })
	if i < 0 {
		i = len(rules) - 1
	}
	return rules[i]
}

func codes(v verdict, why string, codes ...string) []rule {
	rules := make([]rule, len(codes))
	for i, c := range codes {
		rules[i] = rule{code: c, why: why, verdict: v}
	}
	return rules
}

func statuses(v verdict, why string, statuses ...int) []rule {
	rules := make([]rule, len(statuses))
	for i, s := range statuses {
		rules[i] = rule{first: s, last: s, why: why, verdict: v}
	}
	return rules
}

func within(first, last int, v verdict, why string) []rule {
	return []rule{{first: first, last: last, why: why, verdict: v}}
}

func made(cause string, o Outcome, why string) []rule {
	return []rule{{cause: cause, why: why, verdict: final(o)}}
}

// at narrows rules to one status.
func at(status int, rules []rule) []rule {
	for i := range rules {
		rules[i].first, rules[i].last = status, status
	}
	return rules
}

// given narrows rules to what also holds.
func given(cause string, when func(error) bool, rules []rule) []rule {
	for i := range rules {
		rules[i].cause, rules[i].when = cause, when
	}
	return rules
}

// classify says what a failed attempt means. An answer decides even when it arrived as the delivery ended. Without one,
// the cause of ctx, which is the delivery's, tells a lost lock or a drain from a slow server.
func classify(ctx context.Context, err error) verdict {
	if _, ok := errors.AsType[*batchapi.Error](err); ok {
		return decide(answerRules, err).verdict
	}
	if cause := context.Cause(ctx); cause != nil {
		return classifyCause(cause)
	}
	return decide(silenceRules, err).verdict
}

// answerRules decide on the code first and the status second.
var answerRules = slices.Concat(codeRules, statusRules)

func classifyCause(cause error) verdict { return decide(endRules, cause).verdict }

// batchSpoke tells whether an answer is Batch's own, not that of a proxy.
func batchSpoke(err error) bool {
	answer, ok := errors.AsType[*batchapi.Error](err)
	return ok && answer.Code != ""
}

// cutOff tells whether the connection failed inside an answer's body, before its code.
func cutOff(err error) bool { return !batchSpoke(err) && errors.Is(err, batchapi.ErrBodyBroken) }

// blamesMessage tells whether an answer blames a header or query parameter whose value came from the message.
func blamesMessage(err error) bool {
	answer, ok := errors.AsType[*batchapi.Error](err)
	if !ok {
		return false
	}
	fromMessage := []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "client-request-id", "timeOut"}
	for _, v := range answer.Values {
		if strings.EqualFold(v.Key, "HeaderName") || strings.EqualFold(v.Key, "QueryParameterName") {
			return slices.ContainsFunc(fromMessage, func(name string) bool { return strings.EqualFold(name, v.Value) })
		}
	}
	return false
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func noToken(err error) bool {
	_, ok := errors.AsType[*batchapi.CredentialError](err)
	return ok
}

func noTokenNow(err error) bool {
	credential, ok := errors.AsType[*batchapi.CredentialError](err)
	return ok && credential.Temporary()
}

func argument(err error) bool {
	_, ok := errors.AsType[*batchapi.ArgumentError](err)
	return ok
}

func unknownHost(err error) bool {
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && dns.IsNotFound
}

func timeout(err error) bool {
	failure, ok := errors.AsType[net.Error](err)
	return ok && failure.Timeout() || errors.Is(err, context.DeadlineExceeded)
}

// untrusted tells whether the peer could not prove that it is the account.
func untrusted(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	return verification || host || authority || record
}

// describe renders the cause of an outcome as one line without secrets.
func describe(err error) string {
	text := err.Error()
	if answer, ok := errors.AsType[*batchapi.Error](err); ok {
		text = fmt.Sprintf("Batch answered %d %s", answer.StatusCode, answer.Code)
		if line := answer.Message.FirstLine(); line != "" {
			text += ": " + line
		}
		if answer.Err != nil {
			text += ": " + answer.Err.Error()
		}
	}
	return clip(printable(text), maxDetail)
}
