// types: no description of Microsoft.ServiceBus/namespaces@2017-04-01
resource namespace 'Microsoft.ServiceBus/namespaces@2017-04-01' = { name: 'n', location: 'x' }
