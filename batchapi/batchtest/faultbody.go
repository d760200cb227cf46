package batchtest

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Body answers with a body that is not Batch's.
func Body(status int, contentType string, body []byte) Fault {
	return Fault{name: "body", run: func(x *exchange) {
		x.send(response{status: status, body: body, header: http.Header{"Content-Type": {contentType}}})
	}}
}

// HTML answers with the page of a gateway.
func HTML(status int) Fault {
	text := http.StatusText(status)
	page := "<!DOCTYPE html>\r\n<html><head><title>" + text + "</title></head><body><h1>" + text + "</h1></body></html>\r\n"
	f := Body(status, "text/html; charset=utf-8", []byte(page))
	f.name = "html"
	return f
}

// LargeBody answers with a BatchError of about size bytes.
func LargeBody(status int, code string, size int) Fault {
	return Fault{name: "large body", run: func(x *exchange) {
		x.send(x.refusal(status, code, strings.Repeat("all work and no play ", size/21+1)))
	}}
}

// TruncatedBody promises a whole BatchError and closes the connection halfway
// through it.
func TruncatedBody(status int, code string) Fault {
	return Fault{name: "truncated body", run: func(x *exchange) {
		resp := x.refusal(status, code, "The request met a simulated failure.")
		resp.header["Content-Length"] = []string{strconv.Itoa(len(resp.body))}
		resp.body = resp.body[:len(resp.body)/2]
		x.send(resp)
		_ = http.NewResponseController(x.w).Flush()
		x.drop()
	}}
}

// SlowBody answers with a BatchError, one byte each gap.
func SlowBody(status int, code string, gap time.Duration) Fault {
	return Fault{name: "slow body", run: func(x *exchange) {
		resp := x.refusal(status, code, "The request met a simulated failure.")
		x.sendHeader(resp)
		flush := http.NewResponseController(x.w).Flush
		for i := range resp.body {
			if _, err := x.w.Write(resp.body[i : i+1]); err != nil || flush() != nil || !x.wait(gap) {
				x.drop()
			}
		}
	}}
}

// Raw takes the connection over: what answer writes there is what the client
// gets, HTTP or not, until it returns or the account is closed. Over HTTP/2
// there is no connection to take, and it is dropped.
func Raw(answer func(io.ReadWriter)) Fault {
	return Fault{name: "raw", run: func(x *exchange) {
		conn, _, err := http.NewResponseController(x.w).Hijack()
		if err != nil {
			x.drop()
		}
		x.account.mu.Lock()
		x.remember() // before the client can know the answer
		x.account.mu.Unlock()
		var closer sync.WaitGroup
		done := make(chan struct{})
		closer.Go(func() {
			select {
			case <-done:
			case <-x.account.closing:
			}
			_ = conn.Close()
		})
		answer(conn)
		close(done)
		closer.Wait()
	}}
}
