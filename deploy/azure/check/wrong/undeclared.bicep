// nam is not declared
param name string
output a string = '${name}-${nam}'
