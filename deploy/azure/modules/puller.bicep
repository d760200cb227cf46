// The right to pull the worker's image.
param registryName string
param workerPrincipalId string

// AcrPull. A registry with attribute-based access takes Container Registry Repository Reader in its place.
var pull = '7f951dda-4ed3-4680-a7ca-43fe172d538d'

resource registry 'Microsoft.ContainerRegistry/registries@2025-11-01' existing = {
  name: registryName
}

resource pulls 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(registry.id, workerPrincipalId, pull)
  scope: registry
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', pull)
    principalId: workerPrincipalId
    principalType: 'ServicePrincipal'
  }
}

output server string = registry.properties.loginServer
