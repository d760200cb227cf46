param location string
param name string
param sku string
param tags object

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' = {
  name: name
  location: location
  tags: tags
  sku: { name: sku, tier: sku }
  properties: {
    disableLocalAuth: true // identities only: no key can leak
    minimumTlsVersion: '1.2'
    publicNetworkAccess: 'Enabled'
  }
}

output id string = namespace.id
