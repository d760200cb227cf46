// The queue and who may use it. batch-terminator check holds these settings to the worker's.
param namespaceName string
param queueName string
param maxDeliveryCount int
param workerPrincipalId string
param scalerPrincipalId string

@allowed(['receiver', 'owner'])
param scalerRole string

// Azure Service Bus Data Receiver, Sender and Owner.
var receiver = '4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0'
var sender = '69a216fc-b8fb-44d8-bc22-1f3c2cd27a39'
var owner = '090c5cfd-751d-490a-894a-3ce6f1109419'

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' existing = {
  name: namespaceName
}

resource queue 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' = {
  parent: namespace
  name: queueName
  properties: {
    lockDuration: 'PT1M' // renewed while the work lasts; after a crash its messages wait that long
    maxDeliveryCount: maxDeliveryCount
    requiresDuplicateDetection: true // at creation only: a copy that is sent again is dropped
    duplicateDetectionHistoryTimeWindow: 'PT10M'
    deadLetteringOnMessageExpiration: true // without it what expires vanishes without a word
    requiresSession: false
    maxSizeInMegabytes: 5120
  }
}

resource receives 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(queue.id, workerPrincipalId, receiver)
  scope: queue
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', receiver)
    principalId: workerPrincipalId
    principalType: 'ServicePrincipal'
  }
}

// Requests that have to come back later are sent as scheduled copies.
resource sends 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(queue.id, workerPrincipalId, sender)
  scope: queue
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', sender)
    principalId: workerPrincipalId
    principalType: 'ServicePrincipal'
  }
}

var scaling = scalerRole == 'owner' ? owner : receiver

resource scales 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(queue.id, scalerPrincipalId, scaling)
  scope: queue
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', scaling)
    principalId: scalerPrincipalId
    principalType: 'ServicePrincipal'
  }
}

output id string = queue.id
output namespaceId string = namespace.id
output host string = split(split(namespace.properties.serviceBusEndpoint, '/')[2], ':')[0] // of https://host:443/
