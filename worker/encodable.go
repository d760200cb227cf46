package worker

// What arrived is not always what can be sent on: the SDK reads strings that are no UTF-8, and keys of footers of any kind, but
// does not write them. It says so as it says that a link has failed, and each further try would end a client that is well.

import (
	"strings"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"
)

// legible replaces what is no UTF-8 (AMQP 1.0 part 1 §1.6.20) in the strings around the body of a copy.
func legible(c *azservicebus.AMQPAnnotatedMessage) {
	for name, value := range c.ApplicationProperties {
		if !utf8.ValidString(name) {
			delete(c.ApplicationProperties, name)
		}
		c.ApplicationProperties[text(name)] = textIn(value)
	}
	for name, value := range c.MessageAnnotations {
		c.MessageAnnotations[name] = textIn(value)
	}
	p := c.Properties
	p.CorrelationID = textIn(p.CorrelationID)
	for _, field := range []**string{&p.ContentEncoding, &p.ContentType, &p.GroupID, &p.ReplyTo, &p.ReplyToGroupID, &p.Subject, &p.To} {
		if *field != nil && !utf8.ValidString(**field) {
			valid := text(**field)
			*field = &valid // the original keeps its own
		}
	}
}

func text(s string) string { return strings.ToValidUTF8(s, string(utf8.RuneError)) }

func textIn(value any) any {
	if s, ok := value.(string); ok {
		return text(s)
	}
	return value
}

// unsendable returns why the SDK would not write a message, nil if it would.
func unsendable(m *azservicebus.AMQPAnnotatedMessage) error {
	p := m.Properties
	_, err := (&amqp.Message{
		Annotations: m.MessageAnnotations, ApplicationProperties: m.ApplicationProperties, Footer: m.Footer,
		Data: m.Body.Data, Value: m.Body.Value, Sequence: m.Body.Sequence,
		Properties: &amqp.MessageProperties{
			MessageID: p.MessageID, CorrelationID: p.CorrelationID, UserID: p.UserID, To: p.To, Subject: p.Subject, ReplyTo: p.ReplyTo,
			ContentType: p.ContentType, ContentEncoding: p.ContentEncoding, GroupID: p.GroupID, ReplyToGroupID: p.ReplyToGroupID,
		},
	}).MarshalBinary()
	return err
}
