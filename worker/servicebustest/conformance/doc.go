// Command conformance runs the live tests of the Go SDK against the embedded Service Bus:
//
//	go run ./worker/servicebustest/conformance
//
// The tests are those that ship inside the azservicebus module, unmodified. They were written against Azure, by other
// people, and assert what the real service answers; so they say more about the broker's fidelity than tests of ours
// could. The module's source is copied from the module cache to a temporary folder, because tests of a dependency
// cannot run in place; the broker listens with TLS on loopback; and the tests are told to be live by their own
// environment variables (environment.go).
//
// What is printed is passed, failed and skipped per group of capabilities (groups.go). Each test that does not pass
// has a line with its reason in expectations.txt. The command fails when the two differ, in either direction: a test
// that begins to pass must lose its line.
//
// The packages of the module run at the same time, each against a namespace of its own: the names that the tests give
// to their entities repeat within a second.
package main
