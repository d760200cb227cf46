// Where metrics go, who may write them, and who reads them.
param location string
param name string
param suffix string
param grafana bool
param workerPrincipalId string
param tags object

// Monitoring Metrics Publisher, Monitoring Data Reader and Monitoring Reader.
var publisher = '3913510d-42f4-4e42-8a64-420c390055eb'
var dataReader = 'b0d8363b-8ddd-447d-831f-62ca05bff136'
var reader = '43d0d8ad-25c7-4714-9337-8ba259a9fe05'

resource workspace 'Microsoft.Monitor/accounts@2023-04-03' = {
  name: '${name}-metrics'
  location: location
  tags: tags
}

resource endpoint 'Microsoft.Insights/dataCollectionEndpoints@2024-03-11' = {
  name: '${name}-metrics'
  location: location
  kind: 'Linux'
  tags: tags
  properties: { networkAcls: { publicNetworkAccess: 'Enabled' } }
}

resource rule 'Microsoft.Insights/dataCollectionRules@2024-03-11' = {
  name: '${name}-metrics'
  location: location
  kind: 'Linux'
  tags: tags
  properties: {
    dataCollectionEndpointId: endpoint.id
    dataSources: {
      prometheusForwarder: [{ name: 'prometheus', streams: ['Microsoft-PrometheusMetrics'], labelIncludeFilter: {} }]
    }
    destinations: { monitoringAccounts: [{ name: 'workspace', accountResourceId: workspace.id }] }
    dataFlows: [{ streams: ['Microsoft-PrometheusMetrics'], destinations: ['workspace'] }]
  }
}

// On the rule and not on the workspace: the rule is what the agent writes to.
resource publishes 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(rule.id, workerPrincipalId, publisher)
  scope: rule
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', publisher)
    principalId: workerPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource dashboards 'Microsoft.Dashboard/grafana@2025-08-01' = if (grafana) {
  name: take('bt-${suffix}', 23)
  location: location
  tags: tags
  sku: { name: 'Standard' }
  identity: { type: 'SystemAssigned' }
  properties: {
    creatorCanAdmin: 'Enabled'
    apiKey: 'Disabled'
    zoneRedundancy: 'Disabled'
    publicNetworkAccess: 'Enabled'
    grafanaIntegrations: {
      azureMonitorWorkspaceIntegrations: [{ azureMonitorWorkspaceResourceId: workspace.id }]
    }
  }
}

resource readsMetrics 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (grafana) {
  name: guid(workspace.id, 'grafana', dataReader)
  scope: workspace
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', dataReader)
    principalId: dashboards!.identity.principalId
    principalType: 'ServicePrincipal'
  }
}

// For panels of Service Bus and Container Apps, in this resource group.
resource readsPlatform 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (grafana) {
  name: guid(resourceGroup().id, 'grafana', reader)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', reader)
    principalId: dashboards!.identity.principalId
    principalType: 'ServicePrincipal'
  }
}

output workspaceId string = workspace.id
output queryEndpoint string = workspace.properties.metrics.prometheusQueryEndpoint
output remoteWriteUrl string = '${endpoint.properties.metricsIngestion.endpoint}/dataCollectionRules/${rule.properties.immutableId}/streams/Microsoft-PrometheusMetrics/api/v1/write?api-version=2023-04-24'
output grafanaEndpoint string = grafana ? dashboards!.properties.endpoint : ''
