package servicebustest

import (
	"io"
	"net/http"
	"strings"

	"batchterminator/worker/servicebustest/internal/atom"
)

// namespaceName is what the official emulator calls its one namespace.
const namespaceName = "sbemulatorns"

// AdminHandler serves the administration API, with which clients create, change and look at queues, topics,
// subscriptions and rules. Listeners serve it as well; here it can be asked without a network.
func (s *Server) AdminHandler() http.Handler {
	return atom.New(atom.Config{Namespace: s.admin, Authorize: s.authorize})
}

// routes is what the server answers over HTTP. Names of entities may contain slashes and "$", so that the one path that
// is not an entity is taken out first.
func (s *Server) routes(controlled bool) http.Handler {
	administration, control := s.AdminHandler(), newControl(s)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/health" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"status":"healthy","message":"Service is healthy."}`) // the client may be gone
		case controlled && strings.HasPrefix(r.URL.Path, "/sandbox/"):
			control.ServeHTTP(w, r)
		default:
			administration.ServeHTTP(w, r)
		}
	})
}
