// types: properties.lockDurations does not exist
resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' existing = { name: 'n' }
resource queue 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' = { parent: namespace, name: 'q', properties: { lockDurations: 'PT1M' } }
