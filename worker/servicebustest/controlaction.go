package servicebustest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"batchterminator/worker/servicebustest/internal/transport"
)

// actionSpec is something that the control endpoint does at once.
type actionSpec struct {
	Action      string    `json:"action"`
	Entity      string    `json:"entity"`      // detach-links, mute-links, unmute-links, set-status
	Condition   string    `json:"condition"`   // detach-links, close-connections
	Description string    `json:"description"` // likewise
	Duration    *duration `json:"duration"`    // skew-clock; 0s takes it back
	Status      string    `json:"status"`      // set-status: Active, Disabled, SendDisabled or ReceiveDisabled
}

// controlActions are what POST /sandbox/actions takes. They reach connections that speak AMQP: the request itself is to
// be answered.
var controlActions = map[string]func(s *Server, a *actionSpec) error{
	"drop-connections":   (*Server).actDrop,
	"reset-connections":  func(s *Server, _ *actionSpec) error { s.ResetConnections(); return nil },
	"mute-connections":   func(s *Server, _ *actionSpec) error { s.MuteConnections(true); return nil },
	"unmute-connections": func(s *Server, _ *actionSpec) error { s.MuteConnections(false); return nil },
	"expire-tokens":      func(s *Server, _ *actionSpec) error { s.ExpireTokens(); return nil },
	"skew-clock":         (*Server).actSkew,
	"close-connections":  (*Server).actClose,
	"detach-links":       (*Server).actDetach,
	"mute-links":         func(s *Server, a *actionSpec) error { return s.actMute(a, true) },
	"unmute-links":       func(s *Server, a *actionSpec) error { return s.actMute(a, false) },
	"set-status":         (*Server).actStatus,
}

func (s *Server) actDrop(*actionSpec) error {
	s.eachConnection(func(c *transport.Conn) { c.Drop() })
	return nil
}

func (s *Server) actClose(a *actionSpec) error {
	if a.Condition == "" {
		return a.needs("condition")
	}
	s.CloseConnections(a.Condition, a.Description)
	return nil
}

func (s *Server) actSkew(a *actionSpec) error {
	if a.Duration == nil {
		return a.needs("duration")
	}
	s.SkewClock(time.Duration(*a.Duration))
	return nil
}

func (s *Server) actDetach(a *actionSpec) error {
	if a.Entity == "" || a.Condition == "" {
		return a.needs("entity and condition")
	}
	s.DetachLinks(a.Entity, a.Condition, a.Description)
	return nil
}

func (s *Server) actMute(a *actionSpec, on bool) error {
	if a.Entity == "" {
		return a.needs("entity")
	}
	s.MuteLinks(a.Entity, on)
	return nil
}

func (s *Server) actStatus(a *actionSpec) error {
	for _, status := range []Status{StatusActive, StatusDisabled, StatusSendDisabled, StatusReceiveDisabled} {
		if strings.EqualFold(status.String(), a.Status) {
			return s.SetStatus(a.Entity, status)
		}
	}
	return fmt.Errorf("status is %q, not Active, Disabled, SendDisabled or ReceiveDisabled", a.Status)
}

func (a *actionSpec) needs(what string) error {
	return fmt.Errorf("action %q needs %s", a.Action, what)
}

func (c *control) act(w http.ResponseWriter, r *http.Request) {
	var spec actionSpec
	if !read(w, r, &spec) {
		return
	}
	do, known := controlActions[spec.Action]
	if !known {
		respond(w, http.StatusBadRequest, problem{fmt.Sprintf("action is %q, not one of %s",
			spec.Action, strings.Join(slices.Sorted(maps.Keys(controlActions)), ", "))})
		return
	}
	if err := do(c.server, &spec); err != nil {
		respond(w, http.StatusBadRequest, problem{err.Error()})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
