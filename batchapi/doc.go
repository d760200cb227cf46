// Package batchapi speaks one operation of the Azure Batch service: Terminate
// Task, and Get Task for callers that must look before they decide. One call
// makes at most one HTTP request, but that net/http repeats one whose connection,
// kept from an earlier call, was closed before an answer began. Whether to try again, how long to wait and
// what a refusal means are decisions of package handler; this package only
// reports, exactly, what was sent and what was answered.
//
// # What a caller gets back
//
//	nil             Batch answered with success (204, or see StatusCode)
//	*Error          Batch, or something in front of it, answered otherwise
//	*ArgumentError  the call was refused here; nothing was sent
//	*CredentialError  no token could be had; nothing was sent to Batch
//	anything else   the network, or an answer to another request, wrapped once;
//	                the call may have been applied
//
// An answer counts as soon as its status line is known: a body that is empty,
// HTML, cut short, endless or hostile still yields an *Error, with Code empty.
//
// # Where the token goes
//
// The last step before the network is the guard (guard.go). It compares the
// request that is about to leave with the endpoint the client was made for and
// with the path computed from the ids, byte for byte, and only then fetches the
// token and puts it on a private copy of the request. So no policy, log or
// trace ever holds the Authorization header, and no id, policy or redirect can
// move the call to another host or another operation: without the id grammar
// and this check a task id of ".." would be cleaned, by a client library, a
// proxy or the server, into Terminate Job.
//
// # Rejected designs
//
// azcore's bearer policy is not used: its waiters ignore their contexts, a
// failed acquisition is repeated by every waiter in turn, and it sets the
// header where later policies can read it. azcore's retries are always off:
// they would repeat a call with one ocp-date and hide attempts from the policy
// that counts them. Its body download is unbounded, so the guard reads first, and
// its log policies parse the query of every call, so the guard adds that last.
// Shared Key is absent on purpose: it grants the whole account, and accounts
// that allow Entra ID only refuse it.
//
// To change the API version, headers or conditions, edit request.go; the cloud
// suffixes and scopes are in endpoint.go; testdata/batch describes the contract
// that the tests hold this package to.
package batchapi
