// the module needs the parameter b
module m 'module/m.bicep' = { name: 'm', params: { a: 'x' } }
