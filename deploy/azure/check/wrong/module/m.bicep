param a string
param b string
param opt string = a
output o string = '${a}${b}${opt}'
