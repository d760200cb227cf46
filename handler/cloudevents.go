package handler

import (
	"fmt"
	"mime"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// CloudEvents 1.0 as the AMQP binding carries them: structured mode by content type, binary mode by application
// properties, for which two prefixes are in use (AMQP protocol binding §3.1: "cloudEvents:" or "cloudEvents_").
const cloudEventsMedia = "application/cloudevents+json"

var cloudEventsPrefixes = []string{"cloudEvents:", "cloudEvents_"}

// Beside specversion (CloudEvents 1.0 §3.1).
var requiredAttributes = []string{"id", "source", "type"}

// unwrap returns the request object that a message carries, with or without a CloudEvents envelope.
func unwrap(m Message) ([]byte, error) {
	media, _, err := mime.ParseMediaType(m.ContentType)
	if m.ContentType != "" && err != nil {
		return nil, fmt.Errorf("content type: %s is not a media type", quoted(m.ContentType))
	}
	if media == cloudEventsMedia {
		return unwrapStructured(m.Body)
	}
	for _, prefix := range cloudEventsPrefixes {
		if _, ok := m.Properties[prefix+"specversion"]; ok {
			return m.Body, checkAttributes(m.Properties, prefix)
		}
	}
	return m.Body, nil
}

func checkAttributes(properties map[string]any, prefix string) error {
	if v := properties[prefix+"specversion"]; v != "1.0" {
		return fmt.Errorf("%sspecversion: want \"1.0\", got %s", prefix, quoted(fmt.Sprint(v)))
	}
	for _, name := range requiredAttributes {
		if v, ok := properties[prefix+name].(string); !ok || v == "" {
			return fmt.Errorf("%s%s: required string", prefix, name)
		}
	}
	return nil
}

func unwrapStructured(body []byte) ([]byte, error) {
	if len(body) > MaxBody {
		return nil, fmt.Errorf("body: %d bytes; at most %d are read", len(body), MaxBody)
	}
	var event map[string]jsontext.Value
	if err := json.Unmarshal(body, &event); err != nil {
		return nil, fmt.Errorf("body: not a CloudEvent: %s", printable(err.Error()))
	}
	attribute := func(name string) (s string, err error) {
		if v, ok := event[name]; ok {
			err = json.Unmarshal(v, &s)
		}
		return s, err
	}
	if v, err := attribute("specversion"); err != nil || v != "1.0" {
		return nil, fmt.Errorf("body: CloudEvent specversion: want \"1.0\", got %s", quoted(v))
	}
	for _, name := range requiredAttributes {
		if v, err := attribute(name); err != nil || v == "" {
			return nil, fmt.Errorf("body: CloudEvent %s: required string", name)
		}
	}
	if t, err := attribute("datacontenttype"); err != nil || !jsonMedia(t) {
		return nil, fmt.Errorf("body: CloudEvent datacontenttype: want JSON, got %s", quoted(t))
	}
	data, isJSON := event["data"]
	encoded, isBinary := event["data_base64"]
	switch {
	case isJSON == isBinary:
		return nil, fmt.Errorf("body: CloudEvent: want one of data and data_base64")
	case isJSON:
		return data, nil
	}
	var decoded []byte
	if err := json.Unmarshal(encoded, &decoded); err != nil {
		return nil, fmt.Errorf("body: CloudEvent data_base64: %s", printable(err.Error()))
	}
	return decoded, nil
}

func jsonMedia(contentType string) bool {
	if contentType == "" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}
