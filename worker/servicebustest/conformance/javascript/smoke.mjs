// What the JavaScript SDK does with a broker, one scenario after the other:
//
//   SERVICEBUS_CONNECTION_STRING  of the broker
//   SERVICEBUS_CUSTOM_ENDPOINT    address to dial instead, like sb://localhost:5671, for TLS on a port of one's own
//   SERVICEBUS_WEBSOCKETS         any value: AMQP over WebSocket
//   SERVICEBUS_ADMINISTRATION     any value: also the administration client, which speaks only HTTPS
//
// The entities are those of entities.json, which `sandbox serve --config` takes. Exit 0: every scenario passed.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { ServiceBusAdministrationClient, ServiceBusClient } from "@azure/service-bus";
import Long from "long";
import WebSocket from "ws";

const queue = "orders";
const sessionQueue = "orders-by-customer";
const topic = "events";
const subscription = "audit";
const fromTheStart = { fromSequenceNumber: Long.ZERO };
const patience = { maxWaitTimeInMs: 5000 };

const connectionString = process.env.SERVICEBUS_CONNECTION_STRING;
if (!connectionString) {
  console.error("smoke: SERVICEBUS_CONNECTION_STRING is not set; run.sh sets it");
  process.exit(2);
}

function connect(timeoutInMs = 15000, maxRetries = 1) {
  const options = { retryOptions: { maxRetries, timeoutInMs } };
  if (process.env.SERVICEBUS_CUSTOM_ENDPOINT) options.customEndpointAddress = process.env.SERVICEBUS_CUSTOM_ENDPOINT;
  if (process.env.SERVICEBUS_WEBSOCKETS) options.webSocketOptions = { webSocket: WebSocket };
  return new ServiceBusClient(connectionString, options);
}

/** Takes one message and holds it to its body. */
async function takeOne(receiver, body) {
  const messages = await receiver.receiveMessages(1, patience);
  assert.equal(messages.length, 1, `a message ${body} within ${patience.maxWaitTimeInMs} ms`);
  assert.equal(messages[0].body, body);
  return messages[0];
}

async function rejectsWith(code, promise) {
  await assert.rejects(promise, (err) => {
    assert.equal(err.code, code, err.message);
    return true;
  });
}

/** Takes away what a failed scenario left to the next ones. */
async function empty(client) {
  const receiver = client.createReceiver(queue, { receiveMode: "receiveAndDelete" });
  while ((await receiver.receiveMessages(500, { maxWaitTimeInMs: 500 })).length > 0);
}

/** Name to scenario. Each leaves its entity empty. */
const scenarios = {
  async "send one, several and a batch, receive and complete"(client) {
    const sender = client.createSender(queue);
    await sender.sendMessages({ body: "1" });
    await sender.sendMessages([{ body: "2" }, { body: "3" }]);
    const batch = await sender.createMessageBatch();
    assert.ok(batch.maxSizeInBytes > 0);
    assert.ok(batch.tryAddMessage({ body: "4" }) && batch.tryAddMessage({ body: "5" }));
    await sender.sendMessages(batch);
    const receiver = client.createReceiver(queue);
    const bodies = [];
    while (bodies.length < 5) {
      const messages = await receiver.receiveMessages(10, patience);
      assert.ok(messages.length > 0, `only ${bodies} arrived`);
      for (const message of messages) {
        bodies.push(message.body);
        await receiver.completeMessage(message);
      }
    }
    assert.deepEqual(bodies, ["1", "2", "3", "4", "5"]);
    assert.deepEqual(await receiver.peekMessages(1, fromTheStart), []);
  },

  async "a receiver that asks for more than there is stays usable"(client) {
    const sender = client.createSender(queue);
    const receiver = client.createReceiver(queue);
    for (let round = 0; round < 3; round++) {
      await sender.sendMessages([{ body: "a" }, { body: "b" }, { body: "c" }]);
      const messages = await receiver.receiveMessages(10, { maxWaitTimeInMs: 1000 });
      assert.equal(messages.length, 3, `round ${round}`);
      for (const message of messages) await receiver.completeMessage(message);
    }
  },

  async "receive and delete"(client) {
    await client.createSender(queue).sendMessages({ body: "gone" });
    const receiver = client.createReceiver(queue, { receiveMode: "receiveAndDelete" });
    await takeOne(receiver, "gone");
    assert.deepEqual(await receiver.peekMessages(1, fromTheStart), []);
  },

  async "abandon counts a delivery and keeps changed properties"(client) {
    await client.createSender(queue).sendMessages({ body: "again" });
    const receiver = client.createReceiver(queue);
    await receiver.abandonMessage(await takeOne(receiver, "again"), { tried: "once" });
    const second = await takeOne(receiver, "again");
    assert.equal(second.deliveryCount, 1);
    assert.equal(second.applicationProperties.tried, "once");
    await receiver.completeMessage(second);
  },

  async "dead-letter with a reason, then read the dead-letter queue"(client) {
    await client.createSender(queue).sendMessages({ body: "bad", applicationProperties: { kind: "test" } });
    const receiver = client.createReceiver(queue);
    await receiver.deadLetterMessage(await takeOne(receiver, "bad"), {
      deadLetterReason: "unreadable", deadLetterErrorDescription: "line 7", looked: true,
    });
    const dead = client.createReceiver(queue, { subQueueType: "deadLetter" });
    const message = await takeOne(dead, "bad");
    assert.equal(message.deadLetterReason, "unreadable");
    assert.equal(message.deadLetterErrorDescription, "line 7");
    assert.equal(message.applicationProperties.kind, "test");
    assert.equal(message.applicationProperties.looked, true);
    await dead.completeMessage(message);
  },

  async "defer, then receive by sequence number"(client) {
    await client.createSender(queue).sendMessages({ body: "later" });
    const receiver = client.createReceiver(queue);
    const message = await takeOne(receiver, "later");
    await receiver.deferMessage(message);
    const [peeked] = await receiver.peekMessages(1, fromTheStart);
    assert.equal(peeked.state, "deferred");
    const [deferred] = await receiver.receiveDeferredMessages(message.sequenceNumber);
    assert.equal(deferred.body, "later");
    await receiver.completeMessage(deferred);
  },

  async "peek walks the queue without taking anything"(client) {
    const sender = client.createSender(queue);
    await sender.sendMessages([{ body: "x" }, { body: "y" }, { body: "z" }]);
    const receiver = client.createReceiver(queue);
    const first = await receiver.peekMessages(2);
    const rest = await receiver.peekMessages(10);
    assert.deepEqual([...first, ...rest].map((m) => m.body), ["x", "y", "z"]);
    for (const body of ["x", "y", "z"]) await receiver.completeMessage(await takeOne(receiver, body));
  },

  async "schedule, cancel and let one become due"(client) {
    const sender = client.createSender(queue);
    const [kept, cancelled] = await sender.scheduleMessages(
      [{ body: "due" }, { body: "cancelled" }], new Date(Date.now() + 1500));
    await sender.cancelScheduledMessages(cancelled);
    const receiver = client.createReceiver(queue);
    const [peeked] = await receiver.peekMessages(2, fromTheStart);
    assert.equal(peeked.state, "scheduled");
    assert.equal(peeked.sequenceNumber.toString(), kept.toString());
    await receiver.completeMessage(await takeOne(receiver, "due"));
    assert.deepEqual(await receiver.peekMessages(1, fromTheStart), []);
    await rejectsWith("MessageNotFound", sender.cancelScheduledMessages(kept));
  },

  async "renew a lock, and lose it by settling"(client) {
    await client.createSender(queue).sendMessages({ body: "locked" });
    const receiver = client.createReceiver(queue);
    const message = await takeOne(receiver, "locked");
    const before = message.lockedUntilUtc;
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.ok((await receiver.renewMessageLock(message)) > before);
    await receiver.completeMessage(message);
    const other = client.createReceiver(queue);
    await rejectsWith("MessageLockLost", other.renewMessageLock(message));
  },

  async "every property and annotation comes back as it was sent"(client) {
    const sent = {
      body: { nested: [1, "two", null, { three: true }] }, messageId: randomUUID(), correlationId: "c", subject: "s",
      contentType: "application/json", replyTo: "r", to: "t", partitionKey: "p", timeToLive: 60000,
      applicationProperties: { text: "ä", number: 1.5, whole: 7, yes: true, none: null, when: new Date(1700000000000) },
    };
    await client.createSender(queue).sendMessages(sent);
    const receiver = client.createReceiver(queue);
    const [message] = await receiver.receiveMessages(1, patience);
    message.applicationProperties.when = new Date(message.applicationProperties.when); // this SDK shows a timestamp as a number
    for (const [name, value] of Object.entries(sent)) assert.deepEqual(message[name], value, name);
    await receiver.completeMessage(message);
  },

  async "five thousand messages, none settled until all are there"(client) {
    const count = 5000;
    const sender = client.createSender(queue);
    for (let i = 0; i < count; i += 500) {
      await sender.sendMessages(Array.from({ length: 500 }, (_, k) => ({ body: i + k })));
    }
    const receiver = client.createReceiver(queue);
    const held = [];
    while (held.length < 2000) {
      const messages = await receiver.receiveMessages(1000, patience);
      assert.ok(messages.length > 0, `stopped at ${held.length}`);
      held.push(...messages);
    }
    await Promise.all(held.map((m) => receiver.completeMessage(m)));
    let taken = held.length;
    while (taken < count) {
      const messages = await receiver.receiveMessages(1000, patience);
      assert.ok(messages.length > 0, `stopped at ${taken}`);
      await Promise.all(messages.map((m) => receiver.completeMessage(m)));
      taken += messages.length;
    }
    assert.equal(taken, count);
  },

  async "subscribe streams messages until it is closed"(client) {
    const sender = client.createSender(queue);
    const receiver = client.createReceiver(queue);
    const bodies = [];
    const all = new Promise((resolve, reject) => {
      receiver.subscribe({
        async processMessage(message) {
          bodies.push(message.body);
          if (bodies.length === 20) resolve();
        },
        async processError({ error }) { reject(error); },
      }, { maxConcurrentCalls: 4 });
    });
    for (let i = 0; i < 20; i++) await sender.sendMessages({ body: i });
    await all;
    await receiver.close();
    assert.deepEqual(bodies.sort((a, b) => a - b), Array.from({ length: 20 }, (_, i) => i));
  },

  async "a missing entity is named"(client) {
    await rejectsWith("MessagingEntityNotFound", client.createSender("no-such-queue").sendMessages({ body: "lost" }));
    await rejectsWith("MessagingEntityNotFound", client.createReceiver("no-such-queue").receiveMessages(1, patience));
  },

  async "a message beyond the limit is refused and the sender lives on"(client) {
    const sender = client.createSender(queue);
    await rejectsWith("MessageSizeExceeded", sender.sendMessages({ body: Buffer.alloc(2 << 20) }));
    await sender.sendMessages({ body: "small" });
    const receiver = client.createReceiver(queue);
    await receiver.completeMessage(await takeOne(receiver, "small"));
  },

  async "sessions: accept, state, lock, order, next"(client) {
    const sender = client.createSender(sessionQueue);
    const id = `customer-${randomUUID()}`;
    await sender.sendMessages([{ body: 1, sessionId: id }, { body: 2, sessionId: id }]);
    await assert.rejects(sender.sendMessages({ body: "without a session" }));
    const receiver = await client.acceptSession(sessionQueue, id);
    assert.equal(receiver.sessionId, id);
    await rejectsWith("SessionCannotBeLocked", client.acceptSession(sessionQueue, id));
    await receiver.setSessionState(Buffer.from("half done"));
    assert.equal((await receiver.getSessionState()).toString(), "half done");
    const until = receiver.sessionLockedUntilUtc;
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.ok((await receiver.renewSessionLock()) > until);
    await receiver.completeMessage(await takeOne(receiver, 1));
    await receiver.close();
    const next = await client.acceptNextSession(sessionQueue);
    assert.equal(next.sessionId, id);
    assert.equal((await next.getSessionState()).toString(), "half done");
    await next.completeMessage(await takeOne(next, 2));
    await next.setSessionState(null);
    assert.equal(await next.getSessionState(), null);
    await next.close();
  },

  async "sessions: nothing to accept ends in a timeout"() {
    const hasty = connect(2000, 0);
    try {
      await assert.rejects(hasty.acceptNextSession(sessionQueue), (err) => /ServiceTimeout|SessionCannotBeLocked/.test(err.code) || assert.fail(err));
    } finally {
      await hasty.close();
    }
  },

  async "topic, subscription and rules"(client) {
    const sender = client.createSender(topic);
    const receiver = client.createReceiver(topic, subscription);
    await sender.sendMessages({ body: "to all" });
    await receiver.completeMessage(await takeOne(receiver, "to all"));
    const rules = client.createRuleManager(topic, subscription);
    const listed = async () => {
      const names = [];
      for await (const rule of rules.listRules()) names.push(rule.name);
      return names.sort();
    };
    assert.deepEqual(await listed(), ["$Default"]);
    await rules.createRule("large", { sqlExpression: "amount > 100" }, { sqlExpression: "SET size = 'large'" });
    await rules.createRule("red", { subject: "red", applicationProperties: { shade: "dark" } });
    await rules.deleteRule("$Default");
    assert.deepEqual(await listed(), ["large", "red"]);
    await sender.sendMessages([
      { body: "small", applicationProperties: { amount: 7 } },
      { body: "large", applicationProperties: { amount: 700 } },
      { body: "light red", subject: "red", applicationProperties: { shade: "light" } },
      { body: "dark red", subject: "red", applicationProperties: { shade: "dark" } },
    ]);
    const large = await takeOne(receiver, "large");
    assert.equal(large.applicationProperties.size, "large");
    await receiver.completeMessage(large);
    await receiver.completeMessage(await takeOne(receiver, "dark red"));
    await rejectsWith("MessagingEntityAlreadyExists", rules.createRule("red", { subject: "red" }));
    await rejectsWith("GeneralError", rules.createRule("broken", { sqlExpression: "amount >" }));
    await rules.deleteRule("large");
    await rules.deleteRule("red");
    await rules.createRule("$Default", { sqlExpression: "1=1" });
  },
};

/** With an administration client, over HTTPS. */
const administration = {
  async "entities are created, read, changed, listed and deleted"(client, admin) {
    const name = `made-${randomUUID()}`;
    const made = await admin.createQueue(name, { lockDuration: "PT45S", requiresSession: false, maxDeliveryCount: 7 });
    assert.equal(made.name, name);
    assert.equal(made.lockDuration, "PT45S");
    await rejectsWith("MessageEntityAlreadyExistsError", admin.createQueue(name));
    made.maxDeliveryCount = 9;
    assert.equal((await admin.updateQueue(made)).maxDeliveryCount, 9);
    await client.createSender(name).sendMessages([{ body: 1 }, { body: 2 }]);
    assert.equal((await admin.getQueueRuntimeProperties(name)).activeMessageCount, 2);
    const names = [];
    for await (const q of admin.listQueues()) names.push(q.name);
    assert.ok(names.includes(name) && names.includes(queue));
    await admin.deleteQueue(name);
    assert.equal(await admin.queueExists(name), false);
  },

  async "topics, subscriptions and rules over HTTP"(client, admin) {
    const name = `made-${randomUUID()}`;
    await admin.createTopic(name);
    await admin.createSubscription(name, "s");
    await admin.createRule(name, "s", "big", { sqlExpression: "n > @least", sqlParameters: { "@least": 3 } });
    await admin.deleteRule(name, "s", "$Default");
    const rules = [];
    for await (const r of admin.listRules(name, "s")) rules.push(r.name);
    assert.deepEqual(rules, ["big"]);
    await client.createSender(name).sendMessages([{ body: "a", applicationProperties: { n: 1 } }, { body: "b", applicationProperties: { n: 5 } }]);
    const receiver = client.createReceiver(name, "s");
    await receiver.completeMessage(await takeOne(receiver, "b"));
    assert.equal((await admin.getSubscriptionRuntimeProperties(name, "s")).totalMessageCount, 0);
    await admin.deleteTopic(name);
    assert.equal(await admin.topicExists(name), false);
  },

  async "the namespace describes itself"(_, admin) {
    const properties = await admin.getNamespaceProperties();
    assert.ok(properties.name && properties.messagingSku);
  },
};

const withAdministration = process.env.SERVICEBUS_ADMINISTRATION;
const wanted = process.argv[2] ?? "";
const all = withAdministration ? { ...scenarios, ...administration } : scenarios;
const admin = withAdministration ? new ServiceBusAdministrationClient(connectionString) : undefined;
let failures = 0;
for (const [name, scenario] of Object.entries(all)) {
  if (!name.includes(wanted)) continue;
  const client = connect();
  const start = Date.now();
  try {
    await scenario(client, admin);
    console.log(`ok    ${name} (${Date.now() - start} ms)`);
  } catch (err) {
    failures++;
    console.log(`FAIL  ${name}: ${err.stack ?? err}`);
    await empty(client);
  } finally {
    await client.close();
  }
}
process.exit(failures ? 1 : 0);
