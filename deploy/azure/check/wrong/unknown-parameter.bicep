// the module has no parameter c
module m 'module/m.bicep' = { name: 'm', params: { a: 'x', b: 'y', c: 'z' } }
