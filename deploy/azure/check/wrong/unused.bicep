// b is never used
param a string
param b string
output c string = a
