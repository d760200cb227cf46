// types: properties.requiresSession wants true or false
resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' existing = { name: 'n' }
resource queue 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' = { parent: namespace, name: 'q', properties: { requiresSession: 'no' } }
