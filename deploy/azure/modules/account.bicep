// A Batch account without pools: those belong to who submits the jobs.
param location string
param name string
param tags object

resource account 'Microsoft.Batch/batchAccounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    poolAllocationMode: 'BatchService'
    allowedAuthenticationModes: ['AAD'] // no shared key
    publicNetworkAccess: 'Enabled'
  }
}

output id string = account.id
