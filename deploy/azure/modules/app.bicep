// The worker and the Prometheus agent beside it. Nothing comes in from outside: no ingress.
param location string
param name string
param environmentId string
param environmentLabel string
param image string
param registryServer string
param agentImage string
param workerId string
param workerClientId string
param scalerId string
param serviceBusHost string
param namespaceName string
param queueName string
param maxDeliveryCount int
param batchEndpoint string
param concurrency int
param minReplicas int
param maxReplicas int
param gracePeriodSeconds int
param settings object
param checkBeforeStart bool
param remoteWriteUrl string
param tags object

// Beside LISTEN: what the platform and the agent ask.
var port = 9090

// Kinds of cloud, as KEDA and Prometheus call them.
var clouds = {
  AzureCloud: { keda: 'AzurePublicCloud', prometheus: 'AzurePublic' }
  AzureUSGovernment: { keda: 'AzureUSGovernmentCloud', prometheus: 'AzureGovernment' }
  AzureChinaCloud: { keda: 'AzureChinaCloud', prometheus: 'AzureChina' }
}
var cloud = clouds[environment().name]

var env = concat([
  { name: 'AZURE_CLIENT_ID', value: workerClientId }
  { name: 'SERVICEBUS_NAMESPACE', value: serviceBusHost }
  { name: 'SERVICEBUS_QUEUE', value: queueName }
  { name: 'MAX_DELIVERY_COUNT', value: string(maxDeliveryCount) }
  { name: 'BATCH_ENDPOINT', value: batchEndpoint }
  { name: 'CONCURRENCY', value: string(concurrency) }
  { name: 'GRACE', value: '${gracePeriodSeconds}s' }
  { name: 'LISTEN', value: ':${port}' }
  { name: 'GOMEMLIMIT', value: '460MiB' } // nine tenths of the memory below
], map(items(settings), setting => { name: setting.key, value: setting.value }))

var agentTemplate = loadTextContent('../../prometheus/agent.yml')
var agentConfig = replace(replace(replace(replace(agentTemplate, '__URL__', remoteWriteUrl), '__CLIENT_ID__', workerClientId), '__ENVIRONMENT__', environmentLabel), 'cloud: AzurePublic', 'cloud: ${cloud.prometheus}')

// The platform stops both containers at once. The agent goes on while the worker drains and stays for one more scrape, and
// leaves time to send it. The trap comes first: the signal may come as soon as there is anything.
var agentScript = replace('''
trap 'n=0; while [ $n -lt __SECONDS__ ] && wget -q -O /dev/null http://127.0.0.1:9090/healthz; do n=$((n+1)); sleep 1; done; kill -TERM $! || exit' TERM
prometheus --agent --config.file=/etc/agent/agent.yml --storage.agent.path=/wal --web.listen-address=127.0.0.1:9091 --storage.remote.flush-deadline=5s &
wait $!
wait $!
''', '__SECONDS__', string(gracePeriodSeconds - 10))

resource app 'Microsoft.App/containerApps@2025-07-01' = {
  name: name
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${workerId}': {}, '${scalerId}': {} }
  }
  properties: {
    environmentId: environmentId
    workloadProfileName: 'Consumption'
    configuration: {
      activeRevisionsMode: 'Single' // of several, each would scale and compete for messages
      maxInactiveRevisions: 5
      identitySettings: [
        { identity: workerId, lifecycle: checkBeforeStart ? 'All' : 'Main' }
        { identity: scalerId, lifecycle: 'None' } // KEDA uses it; no container sees it
      ]
      registries: empty(registryServer) ? [] : [{ server: registryServer, identity: workerId }]
      secrets: [{ name: 'agent-yml', value: agentConfig }]
    }
    template: {
      terminationGracePeriodSeconds: gracePeriodSeconds
      initContainers: checkBeforeStart ? [
        {
          name: 'check'
          image: image
          args: ['check']
          env: env
          resources: { cpu: json('0.25'), memory: '0.5Gi' }
        }
      ] : []
      containers: [
        {
          name: 'worker'
          image: image
          args: ['run']
          env: env
          resources: { cpu: json('0.25'), memory: '0.5Gi' }
          probes: [
            { type: 'Startup', httpGet: { path: '/healthz', port: port, scheme: 'HTTP' }, periodSeconds: 1, failureThreshold: 10 }
            // The worker ends by itself when its own machinery is stuck; this is for a process that answers nothing at all.
            { type: 'Liveness', httpGet: { path: '/healthz', port: port, scheme: 'HTTP' }, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 }
            { type: 'Readiness', httpGet: { path: '/readyz', port: port, scheme: 'HTTP' }, periodSeconds: 5, timeoutSeconds: 3, failureThreshold: 3 }
          ]
        }
        {
          name: 'prometheus-agent'
          image: agentImage
          command: ['/bin/sh', '-c', agentScript]
          // A new configuration makes a new revision: a secret alone does not.
          env: [{ name: 'AGENT_CONFIG', value: uniqueString(agentConfig) }]
          resources: { cpu: json('0.25'), memory: '0.5Gi' }
          volumeMounts: [
            { volumeName: 'agent-config', mountPath: '/etc/agent' }
            { volumeName: 'wal', mountPath: '/wal' }
          ]
        }
      ]
      volumes: [
        { name: 'agent-config', storageType: 'Secret', secrets: [{ secretRef: 'agent-yml', path: 'agent.yml' }] }
        { name: 'wal', storageType: 'EmptyDir' }
      ]
      scale: {
        minReplicas: minReplicas
        maxReplicas: maxReplicas
        pollingInterval: 30
        cooldownPeriod: 300
        rules: [
          {
            name: 'queue'
            custom: {
              type: 'azure-servicebus'
              identity: scalerId
              metadata: {
                namespace: namespaceName // the short name
                queueName: queueName
                messageCount: string(4 * concurrency) // for each replica: some seconds of work
                cloud: cloud.keda
              }
            }
          }
        ]
      }
    }
  }
}

output id string = app.id
