package servicebustest

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"batchterminator/worker/servicebustest/internal/frames"
	"batchterminator/worker/servicebustest/internal/message"
)

// Trace records conversations, one line a frame, for reading and for comparing with a golden file. What differs from
// run to run is left out: generated names, sizes, times, heartbeats. Connections are numbered in order of appearance;
// "<" is what the client says, ">" what the server says.
type Trace struct {
	mu    sync.Mutex
	lines []string       // any goroutine, under mu
	conns map[uint64]int // any goroutine, under mu
}

// Lines returns what was recorded so far.
func (t *Trace) Lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.lines...)
}

// record implements transport.Tracer.
func (t *Trace) record(conn uint64, out bool, channel uint16, body []byte) {
	if len(body) == 0 {
		return // heartbeat: when, and so how many, is up to the clock
	}
	direction := "<"
	if out {
		direction = ">"
	}
	text := anonymous.ReplaceAllString(describe(body), "*")
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conns == nil {
		t.conns = make(map[uint64]int)
	}
	if t.conns[conn] == 0 {
		t.conns[conn] = len(t.conns) + 1
	}
	t.lines = append(t.lines, fmt.Sprintf("%d %s %d %s", t.conns[conn], direction, channel, text))
}

// anonymous matches what SDKs generate: UUIDs and long random identifiers.
var anonymous = regexp.MustCompile(`[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[A-Za-z0-9_-]{30,}`)

// plain are the performatives of which the name is all that does not vary.
var plain = map[uint64]string{
	frames.CodeOpen: "open", frames.CodeBegin: "begin", frames.CodeSASLMechanisms: "sasl mechanisms",
	frames.CodeSASLInit: "sasl init", frames.CodeSASLOutcome: "sasl outcome",
}

// describe says a frame body in one line.
func describe(body []byte) string {
	code, fields, err := frames.Split(body)
	if err != nil {
		return "unreadable: " + err.Error()
	}
	var line line
	switch code {
	case frames.CodeAttach:
		err = line.attach(fields)
	case frames.CodeFlow:
		err = line.flow(fields)
	case frames.CodeTransfer:
		err = line.transfer(fields)
	case frames.CodeDisposition:
		err = line.disposition(fields)
	case frames.CodeDetach:
		var d frames.Detach
		err = d.Decode(fields)
		line.name("detach").add("handle", d.Handle).err(d.Error)
	case frames.CodeEnd:
		var e frames.EndSession
		err = e.Decode(fields)
		line.name("end").err(e.Error)
	case frames.CodeClose:
		var c frames.Close
		err = c.Decode(fields)
		line.name("close").err(c.Error)
	default:
		line.name(cmp.Or(plain[code], fmt.Sprintf("performative %#02x", code)))
	}
	if err != nil {
		line.add("unreadable", err)
	}
	return line.String()
}

// line collects "name key=value …".
type line struct{ strings.Builder }

func (l *line) name(name string) *line {
	_, _ = l.WriteString(name)
	return l
}

func (l *line) add(key string, value any) *line {
	_, _ = fmt.Fprintf(l, " %s=%v", key, value)
	return l
}

func (l *line) flag(key string, set bool) *line {
	if set {
		_, _ = l.WriteString(" " + key)
	}
	return l
}

func (l *line) err(e *frames.Error) *line {
	if e != nil {
		l.add("error", e.Condition)
	}
	return l
}

func (l *line) attach(fields []byte) error {
	var a frames.Attach
	if err := a.Decode(fields); err != nil {
		return err
	}
	l.name("attach").add("handle", a.Handle)
	l.add("role", map[bool]string{frames.RoleSender: "sender", frames.RoleReceiver: "receiver"}[a.Role])
	l.terminus("source", a.Source)
	l.terminus("target", a.Target)
	if a.SenderMode.Set {
		l.add("snd", a.SenderMode.Value)
	}
	if a.ReceiverMode.Set {
		l.add("rcv", a.ReceiverMode.Value)
	}
	return nil
}

func (l *line) terminus(key string, t frames.Terminus) {
	if t.Raw == nil {
		l.add(key, "null")
		return
	}
	l.add(key, fmt.Sprintf("%q", t.Address))
}

func (l *line) flow(fields []byte) error {
	var f frames.Flow
	if err := f.Decode(fields); err != nil {
		return err
	}
	l.name("flow")
	if f.Handle.Set {
		l.add("handle", f.Handle.Value)
	}
	if f.LinkCredit.Set {
		l.add("credit", f.LinkCredit.Value)
	}
	l.flag("drain", f.Drain).flag("echo", f.Echo)
	return nil
}

func (l *line) transfer(fields []byte) error {
	var t frames.Transfer
	payload, err := t.Decode(fields)
	if err != nil {
		return err
	}
	l.name("transfer").add("handle", t.Handle)
	if t.DeliveryID.Set {
		l.add("delivery", t.DeliveryID.Value)
	}
	l.flag("settled", t.Settled).flag("more", t.More).flag("aborted", t.Aborted)
	if t.MessageFormat.Value == message.BatchFormat {
		l.flag("batch", true)
	}
	if t.DeliveryID.Set && !t.More {
		l.request(payload)
	}
	return nil
}

// request shows what matters of a request or reply; a plain message has neither.
func (l *line) request(payload []byte) {
	m, err := message.Parse(payload)
	if err != nil {
		return
	}
	for _, key := range []string{"operation", "statusCode", "status-code", "errorCondition", "error-condition"} {
		if v, ok := m.ApplicationProperties.Get(key); ok {
			l.add(key, v)
		}
	}
}

func (l *line) disposition(fields []byte) error {
	var d frames.Disposition
	if err := d.Decode(fields); err != nil {
		return err
	}
	l.name("disposition").add("first", d.First)
	if d.Last.Set && d.Last.Value != d.First {
		l.add("last", d.Last.Value)
	}
	l.flag("settled", d.Settled)
	switch s := d.State.(type) {
	case frames.Accepted:
		l.flag("accepted", true)
	case frames.Released:
		l.flag("released", true)
	case frames.Rejected:
		l.flag("rejected", true).err(s.Error)
	case frames.Modified:
		l.flag("modified", true).flag("failed", s.DeliveryFailed).flag("undeliverable-here", s.UndeliverableHere)
	case nil:
	default:
		l.add("state", fmt.Sprintf("%T", s))
	}
	return nil
}
