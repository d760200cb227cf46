package app

import (
	"regexp"
	"strings"

	azlog "github.com/Azure/azure-sdk-for-go/sdk/azcore/log"
	"go.uber.org/zap"
)

// maxSDKText bounds one line of the SDK, in bytes.
const maxSDKText = 2 << 10

// credentials are what no line may hold. The SDK hides them by itself; this is for the day that it forgets one.
var credentials = regexp.MustCompile(`(?i)(bearer\s+|sharedaccesssignature[ =]\s*|(?:sig|sharedaccesskey|accountkey|client_secret|client_assertion|assertion|access_token|refresh_token|password)["']?\s*[=:]\s*["']?)[^\s"'&;,]+|eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?`)

// BridgeSDKLog has the Azure SDK's own log written at debug: connections, tokens asked for, requests and responses without
// their bodies. At a higher level it does nothing, since the SDK renders its lines as soon as anyone listens.
//
// The listener belongs to the whole process and may not be set, or taken away, while the SDK is in use: only a program's start
// calls this, and the listener stays. A level that is changed later brings no lines of the SDK, and takes away those that there are.
func BridgeSDKLog(log *zap.Logger) {
	if log.Core().Enabled(zap.DebugLevel) {
		azlog.SetListener(sdkListener(log.Named("sdk")))
	}
}

func sdkListener(log *zap.Logger) func(azlog.Event, string) {
	return func(event azlog.Event, text string) {
		if event == azlog.EventResponseError {
			return // it repeats the response with its body
		}
		log.Debug("azure sdk", zap.String("event", string(event)), zap.String("text", harmless(text)))
	}
}

// harmless makes one bounded line without credentials of what the SDK says.
func harmless(text string) string {
	text = credentials.ReplaceAllString(text, "${1}REDACTED")
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxSDKText {
		text = text[:maxSDKText] + "..."
	}
	return text
}
