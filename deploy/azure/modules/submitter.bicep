// The right to terminate tasks: the least of the built-in roles that has it.
param accountName string
param workerPrincipalId string

// Azure Batch Job Submitter.
var submitter = '48e5e92e-a480-4e71-aa9c-2778f4c13781'

resource account 'Microsoft.Batch/batchAccounts@2025-06-01' existing = {
  name: accountName
}

resource submits 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, workerPrincipalId, submitter)
  scope: account
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', submitter)
    principalId: workerPrincipalId
    principalType: 'ServicePrincipal'
  }
}

output endpoint string = 'https://${account.properties.accountEndpoint}'
