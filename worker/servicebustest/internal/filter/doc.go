// Package filter decides which messages a subscription gets and what a rule changes on its copy: SQL filters, SQL
// actions and correlation filters. It knows no broker and no AMQP; a message is a [Subject], or an [Editor] where it is
// changed.
//
//	predicate  = predicate OR predicate | predicate AND predicate | NOT predicate | ( predicate )
//	           | expression ( = | <> | != | > | >= | < | <= ) expression
//	           | expression [NOT] LIKE expression [ESCAPE expression]
//	           | expression [NOT] IN ( expression, … )
//	           | property IS [NOT] NULL | EXISTS ( property )
//	expression = constant | property | @parameter | function | ( expression )
//	           | expression ( + | - | * | / | % ) expression | ( + | - ) expression
//	property   = [sys. | user.] name | [name] | "name" | property(expression) | p(expression)
//	statement  = SET property = expression | REMOVE property, each with an optional semicolon
//
// Binding, loosest first: OR, AND, NOT, comparisons, + and -, * / %, sign. A text is at most [MaxText] characters and
// maxDepth levels deep, so that neither parsing nor evaluating it can exhaust the stack.
//
// # Values
//
// A value is nil, string, int64, float64, bool, time.Time, time.Duration, [UUID] or []byte; narrower numbers are
// widened when they are read. Any other Go type is a value that can only be asked whether it is there.
//
// Operators follow C#: an integer meets a float as a float, integer arithmetic wraps, + joins texts, times and
// durations combine. What C# has no operator for (a text and a number, ordering of booleans, division by zero) is an
// error of the evaluation, which the subscription may dead-letter for.
//
// # Three values
//
// A missing user property is unknown, and so is all that is computed or compared with it; AND, OR and NOT are those of
// SQL-92, and only a filter that is true lets a message pass. An unknown system property is an error. Where the
// documents of Service Bus are silent this package follows SQL-92: NULL behaves like a missing property, except that
// EXISTS is true of a user property that is null. A system property that the message does not have is null, and
// EXISTS is false of it. AND and OR do not look at their right side once the left has decided, errors included.
//
// Names of properties, parameters, functions and keywords compare without case; texts compare by code point.
//
// Rejected: compiling to closures (a tree can be printed, and evaluation errors name the part that failed), a bare
// property as a predicate (not in the documented grammar), rewriting NOT away (the tables would be tested twice).
package filter
