package handler

import _ "embed"

//go:embed schema.json
var schema string

// Schema returns the message contract as JSON Schema, draft 2020-12, for senders to check their requests with. A test
// holds it and [DecodeRequest] to each other; what no schema can say is in its $comment.
func Schema() string { return schema }
