// Package validate has the tests that hold deploy/kubernetes and deploy/local to the schemas of those who read them:
// Kubernetes, KEDA, the Prometheus operator, Compose. It is a module of its own, so that what it takes for that is no
// dependency of the worker. Run it with
//
//	go -C deploy/validate test ./...
//
// What the manifests have to say of this worker (ports, paths, grace, variables) is held by cmd/batch-terminator.
package validate
