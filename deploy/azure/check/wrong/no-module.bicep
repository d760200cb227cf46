// there is no module/n.bicep
module m 'module/n.bicep' = { name: 'm' }
