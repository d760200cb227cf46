// module m has no output d
module m 'module/m.bicep' = { name: 'm', params: { a: 'x', b: 'y' } }
output d string = m.outputs.d
