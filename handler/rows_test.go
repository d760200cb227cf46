package handler

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What people read must be what decides: the row of each documented code, under its status, has the verdict of its class.
func TestTheTableTellsEveryDocumentedCodeAndItsVerdict(t *testing.T) {
	t.Parallel()
	rows := Table()
	for _, d := range documented {
		for code := range strings.FieldsSeq(d.codes) {
			i := slices.IndexFunc(rows, func(r Row) bool {
				return r.Code == code && r.Cause == "" && (r.Status == "any" || r.Status == strconv.Itoa(d.status))
			})
			if i < 0 {
				t.Errorf("no row for %d %s", d.status, code)
				continue
			}
			if got := (verdict{Outcome: rows[i].Outcome, retry: rows[i].Retried, check: rows[i].Checked}); got != verdicts[d.class] {
				t.Errorf("row %d %s: %+v, want %+v (%s)", d.status, code, got, verdicts[d.class], d.class)
			}
		}
	}
}

// A status without a listed code: the first row whose range holds it and that asks for nothing more.
func TestTheTableTellsEveryStatusAndItsVerdict(t *testing.T) {
	t.Parallel()
	rows := slices.DeleteFunc(Table(), func(r Row) bool { return r.Code != "" || r.Status == "" || r.Cause != "" })
	for status := 300; status < 600; status++ {
		i := slices.IndexFunc(rows, func(r Row) bool {
			from, to, ranged := strings.Cut(r.Status, "-")
			if !ranged {
				to = from
			}
			first, err1 := strconv.Atoi(from)
			last, err2 := strconv.Atoi(to)
			return err1 == nil && err2 == nil && first <= status && status <= last
		})
		if i < 0 {
			t.Errorf("no row for %d", status)
			continue
		}
		want := verdicts[statusClass(status, false)]
		if got := (verdict{Outcome: rows[i].Outcome, retry: rows[i].Retried, check: rows[i].Checked}); got != want {
			t.Errorf("row for %d: %+v, want %+v", status, got, want)
		}
	}
}

func TestTheTableTellsEveryOutcomeAndWhy(t *testing.T) {
	t.Parallel()
	told := map[Outcome]bool{}
	for _, r := range Table() {
		told[r.Outcome] = true
		if r.Why == "" || strings.ContainsAny(r.Why+r.Cause, "\r\n|") || r.Code == "" && r.Status == "" && r.Cause == "" {
			t.Errorf("row %+v lacks a reason, is not one line, or is for nothing", r)
		}
		if r.Checked && r.Outcome.Decision() == Complete || r.Retried && (r.Outcome.Decision() == Complete || r.Outcome.Decision() == DeadLetter) {
			t.Errorf("row %+v finishes the request and is tried again", r)
		}
	}
	for _, o := range Outcomes() {
		if !told[o] {
			t.Errorf("%v is in no row", o)
		}
	}
}

// Whatever is not listed falls to the last rule of its list, so each of them must be safe: none finishes a request.
func TestWhatNobodyHeardOfFinishesNothing(t *testing.T) {
	t.Parallel()
	for _, status := range []int{0, 99, 600, 999} {
		if got := classify(t.Context(), batchError(status, "")); got != final(WrongEndpoint) {
			t.Errorf("status %d: %+v", status, got)
		}
	}
	for name, rules := range map[string][]rule{"answers": answerRules, "ends": endRules, "silence": silenceRules} {
		if d := rules[len(rules)-1].Decision(); d == Complete || d == DeadLetter {
			t.Errorf("the last rule for %s: %v", name, d)
		}
	}
}
