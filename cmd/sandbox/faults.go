package main

// Help is printed by serve --help, below the description.
func (serveCommand) Help() string {
	return `Faults: every Service Bus port also takes them over HTTP, from this machine only and not from a browser.
 curl localhost:5300/sandbox/faults shows what waits and what struck; to add one, POST JSON with
 "Content-Type: application/json", like {"op":"settle","kind":"swallow","entity":"terminate-requests","times":3};
 DELETE /sandbox/faults or /sandbox/faults/ID takes back.
 POST /sandbox/actions {"action":"drop-connections"} acts at once; an unknown name is answered with the known ones.
 GET /sandbox/entities counts messages. The README lists operations, kinds and actions.`
}
