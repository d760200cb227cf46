// Everything that Batch Terminator runs on and is watched with, in one resource group. README.md says what that is, and what
// nobody could try. A test holds names, ports, variables and times below to those of the worker.
targetScope = 'resourceGroup'

@description('Region of everything that is created.')
param location string = resourceGroup().location

@description('Name of the app, and the beginning of the other names.')
@minLength(3)
@maxLength(24)
param name string = 'batch-terminator'

@description('Value of the label "environment" on every metric.')
param environmentLabel string = 'production'

@description('Image of the worker, by digest: registry/repository@sha256:...')
param image string

@description('Name of the Azure Container Registry that the image is in; empty if it is in a public one.')
param registryName string = ''

@description('Resource group of that registry.')
param registryResourceGroup string = resourceGroup().name

@description('Image of the Prometheus agent, version 3 or later, with a shell. Pin it by digest.')
param agentImage string = 'docker.io/prom/prometheus:v3.5.0'

@description('An existing Service Bus namespace, Standard or Premium; empty creates one.')
param serviceBusNamespaceName string = ''

@description('Resource group of an existing namespace.')
param serviceBusResourceGroup string = resourceGroup().name

@description('Tier of a namespace that is created. Basic has neither duplicate detection nor scheduled messages.')
@allowed(['Standard', 'Premium'])
param serviceBusSku string = 'Standard'

@description('The queue; it is created, or brought to the settings of this file.')
param queueName string = 'terminate-requests'

@description('Deliveries of a message before Service Bus dead-letters it. The worker is told the same number.')
@minValue(6)
@maxValue(2000)
param maxDeliveryCount int = 10

@description('An existing Batch account; empty creates one.')
param batchAccountName string = ''

@description('Resource group of an existing Batch account.')
param batchResourceGroup string = resourceGroup().name

@description('Most requests under way at once in one replica.')
@minValue(1)
@maxValue(1000)
param concurrency int = 64

@description('Replicas while the queue is empty.')
@minValue(0)
param minReplicas int = 0

@description('Replicas at most.')
@minValue(1)
@maxValue(1000)
param maxReplicas int = 10

@description('Seconds from the stop signal until a replica is killed. The worker drains within them.')
@minValue(30)
@maxValue(600)
param gracePeriodSeconds int = 60

@description('More settings of the worker by the names of their environment variables, such as { RATE: \'50\' }. Not for secrets.')
param settings object = {}

@description('For a first deployment and for new settings: run "batch-terminator check" before each replica starts, so that a revision that cannot work does not replace one that does. Turn it off afterwards: while Batch or Service Bus is out of reach no replica starts, where a worker would wait.')
param checkBeforeStart bool = false

@description('Role of the scaler on the queue. Receiver reads the counts; owner is for namespaces that refuse that to it.')
@allowed(['receiver', 'owner'])
param scalerRole string = 'receiver'

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Create an Azure Managed Grafana that reads the metrics.')
param grafana bool = true

@description('Who gets mail when an alert fires; empty for nobody.')
param alertEmails array = []

@description('Messages that may wait for 15 minutes before an alert fires.')
@minValue(1)
param backlogMessages int = 1000

@description('Tags of everything that is created.')
param tags object = { app: name }

var suffix = uniqueString(resourceGroup().id, name)
var createNamespace = empty(serviceBusNamespaceName)
var namespaceName = createNamespace ? '${name}-${suffix}' : serviceBusNamespaceName
var namespaceGroup = createNamespace ? resourceGroup().name : serviceBusResourceGroup
var createAccount = empty(batchAccountName)
var accountName = createAccount ? take('batch${suffix}', 24) : batchAccountName
var accountGroup = createAccount ? resourceGroup().name : batchResourceGroup

module identities 'modules/identities.bicep' = {
  name: 'identities'
  params: { location: location, name: name, tags: tags }
}

module namespace 'modules/namespace.bicep' = if (createNamespace) {
  name: 'namespace'
  params: { location: location, name: namespaceName, sku: serviceBusSku, tags: tags }
}

module queue 'modules/queue.bicep' = {
  name: 'queue'
  scope: resourceGroup(namespaceGroup)
  dependsOn: [namespace]
  params: {
    namespaceName: namespaceName
    queueName: queueName
    maxDeliveryCount: maxDeliveryCount
    workerPrincipalId: identities.outputs.workerPrincipalId
    scalerPrincipalId: identities.outputs.scalerPrincipalId
    scalerRole: scalerRole
  }
}

module account 'modules/account.bicep' = if (createAccount) {
  name: 'account'
  params: { location: location, name: accountName, tags: tags }
}

module submitter 'modules/submitter.bicep' = {
  name: 'submitter'
  scope: resourceGroup(accountGroup)
  dependsOn: [account]
  params: { accountName: accountName, workerPrincipalId: identities.outputs.workerPrincipalId }
}

module puller 'modules/puller.bicep' = if (!empty(registryName)) {
  name: 'puller'
  scope: resourceGroup(registryResourceGroup)
  params: { registryName: registryName, workerPrincipalId: identities.outputs.workerPrincipalId }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  params: {
    location: location
    name: name
    suffix: suffix
    grafana: grafana
    workerPrincipalId: identities.outputs.workerPrincipalId
    tags: tags
  }
}

module hosting 'modules/hosting.bicep' = {
  name: 'hosting'
  params: { location: location, name: name, logRetentionDays: logRetentionDays, tags: tags }
}

module app 'modules/app.bicep' = {
  name: 'app'
  params: {
    location: location
    name: name
    environmentId: hosting.outputs.id
    environmentLabel: environmentLabel
    image: image
    registryServer: empty(registryName) ? '' : puller!.outputs.server
    agentImage: agentImage
    workerId: identities.outputs.workerId
    workerClientId: identities.outputs.workerClientId
    scalerId: identities.outputs.scalerId
    serviceBusHost: queue.outputs.host
    namespaceName: namespaceName
    queueName: queueName
    maxDeliveryCount: maxDeliveryCount
    batchEndpoint: submitter.outputs.endpoint
    concurrency: concurrency
    minReplicas: minReplicas
    maxReplicas: maxReplicas
    gracePeriodSeconds: gracePeriodSeconds
    settings: settings
    checkBeforeStart: checkBeforeStart
    remoteWriteUrl: monitoring.outputs.remoteWriteUrl
    tags: tags
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    location: location
    name: name
    emails: alertEmails
    workspaceId: monitoring.outputs.workspaceId
    namespaceId: queue.outputs.namespaceId
    queueName: queueName
    appId: app.outputs.id
    backlogMessages: backlogMessages
    tags: tags
  }
}

@description('Host for senders: SERVICEBUS_NAMESPACE of batch-terminator send.')
output serviceBusHost string = queue.outputs.host

@description('The queue, for role assignments of senders: Azure Service Bus Data Sender.')
output queueId string = queue.outputs.id

output batchEndpoint string = submitter.outputs.endpoint
output appId string = app.outputs.id
output workerPrincipalId string = identities.outputs.workerPrincipalId

@description('Where PromQL is asked.')
output metricsQueryEndpoint string = monitoring.outputs.queryEndpoint

output grafanaEndpoint string = monitoring.outputs.grafanaEndpoint
