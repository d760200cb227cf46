// types: sku.name wants one of Basic, Standard, Premium
resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' = { name: 'n', location: 'x', sku: { name: 'Standart' } }
