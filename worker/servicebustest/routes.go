package servicebustest

import (
	"io"
	"net/http"
)

// routes is what the server answers over HTTP. Names of entities may contain slashes and "$", so that the one path that
// is not an entity is taken out first.
func (s *Server) routes() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/health" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"status":"healthy","message":"Service is healthy."}`) // the client may be gone
		default:
			http.Error(w, "administration is not emulated", http.StatusNotImplemented)
		}
	})
}
