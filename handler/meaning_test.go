package handler

import (
	"errors"
	"net"
	"testing"

	"batchterminator/batchapi"
)

func TestMeaningIsTheTables(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		want   Outcome
		detail string
	}{
		{&batchapi.Error{StatusCode: 404, Code: "JobNotFound"}, AlreadyGone, "Batch answered 404 JobNotFound"},
		{&batchapi.Error{StatusCode: 403, Code: "InsufficientAccountPermissions"}, AuthFailed, "Batch answered 403 InsufficientAccountPermissions"},
		{&net.OpError{Op: "dial", Err: errors.New("refused\x1b[0m")}, Network, "dial: refused?[0m"},
	} {
		o, why, detail := Meaning(c.err)
		if o != c.want || why == "" || detail != c.detail {
			t.Errorf("%v: %v, %q, %q; want %v, %q", c.err, o, why, detail, c.want, c.detail)
		}
	}
}
