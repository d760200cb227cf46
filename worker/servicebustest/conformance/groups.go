package main

import "regexp"

// group is a set of live tests that need the same of a broker.
type group struct {
	name    string
	pkg     string
	pattern *regexp.Regexp
}

// withoutServer is the group of the unit tests that run along.
const withoutServer = "without a server"

// groups are asked in order; the first that fits a live test has it.
var groups = []group{
	{"administration", "./admin", regexp.MustCompile(`^TestAdminClient_(UsingIdentity|GetNamespaceProperties|QueueWithMaxValues|CreateQueue_.*|UpdateQueue|ListQueues.*|TopicAndSubscription_.*|Forwarding|UpdateTopic|ListTopics.*|ListSubscription.*|UpdateSubscription|LackPermissions_.*|NotFound|CreateRules|ListRules.*|GetDefaultRule|UnknownFilterRoundtrippingWorks|TopicFilterCounts_Live)$|^TestATOMEntitiesHaveNames$`)},
	{"administration beside messages", ".", regexp.MustCompile(`^TestAdminClient_(GetQueueRuntimeProperties|Queue_Forwarding|TopicAndSubscriptionRuntimeProperties)$`)},
	{"links and recovery", "./internal", regexp.MustCompile(`^TestAMQPLinks(Basic|CBSLinkStillOpen|CreditTracking|Live.*|MultipleWithSameConnection|Retry|_LinkFailure|_LinkFailureUpgradedToConnectionError|_LinkWithConnectionFailure.*)$`)},
	{"detach", ".", regexp.MustCompile(`Detach$|^TestReceiverDetach`)},
	{"sessions", ".", regexp.MustCompile(`^TestSessionReceiver(_acceptNextSession_(noSessionsExist|sessionExists)|_acceptSession|_acceptSessionButAlreadyLocked|_blankSessionIDs|_nonSessionReceiver|_subscription|_RenewSessionLock|_roundRobin|SendFive.*)$|^TestClientNewSessionReceiverCancel$|^TestClientPropagatesRetryOptionsForSessions$|_Live$`)},
	{"errors and rights", ".", regexp.MustCompile(`NotFound$|UnauthorizedCreds$|^TestNewClientUsingSharedAccessSignature$`)},
	{"topics", ".", regexp.MustCompile(`^TestReceiverMultiTopic$|_Subscription$`)},
	{"receive and delete", ".", regexp.MustCompile(`ReceiveAndDelete|WithReceiveAndDelete$`)},
	{"deferral", ".", regexp.MustCompile(`Defer`)},
	{"locks", ".", regexp.MustCompile(`RenewMessageLock|LockExpires|^TestRenewLocks`)},
	{"settlement", ".", regexp.MustCompile(`Abandon$|Settlement|Settle`)},
	{"peek and schedule", ".", regexp.MustCompile(`^TestReceiverPeek$|Schedule(AMQP)?Messages$`)},
	{"released messages", ".", regexp.MustCompile(`^TestReceiveCancelReleaser$`)},
	{"sending", ".", regexp.MustCompile(`^Test_Sender_(MessageID|SendBatchOfTwo|SendMessages_resend|Send_MessageTooBig|UsingPartitionedQueue)$|^TestSender_SendAMQP`)},
	{"connections", ".", regexp.MustCompile(`^TestNewClientWith(Websockets|AzureIdentity)$|^TestClient(CloseVsClosePermanently|UsingCustomEndpoint)$`)},
	{"send and receive", ".", regexp.MustCompile(`^Test(ReceiverSendFiveReceiveFive|ReceiverSendAndReceiveManyTimes|ReceiverForceTimeoutWithTooFewMessages|ReceiverCancel|ReceiveWithEarlyFirstMessageTimeout|ReceiveWithDifferentWaitTime|ReceiverMultiReceiver|ReceiveAndSendAndReceive|ReceiverAMQPDataTypes|NilPartitionKey)$`)},
}

func groupOf(r result) string {
	for _, g := range groups {
		if g.pkg == r.pkg && g.pattern.MatchString(r.test) {
			return g.name
		}
	}
	return withoutServer
}
