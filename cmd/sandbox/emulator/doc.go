// Package emulator reads the Config.json of Microsoft's Service Bus emulator, so that the embedded Service Bus can take
// the emulator's place with the file as it is.
//
//	file.go       the file's form, and how it is read
//	comment.go    comments and trailing commas, which the emulator allows and JSON does not
//	duration.go   ISO 8601 durations
//	validate.go   the emulator's names and limits
//	forward.go    who forwards to whom, and in which order they can be made
//	options.go    what the embedded server makes of it
//
// A mistake in such a file is found late and by its absence: a misspelt property leaves its default, a queue that is
// not created is not found. So whatever is not understood is an error that names its place, and all that is wrong with
// the content is said at once. Keys compare without case, as the emulator compares them.
package emulator
