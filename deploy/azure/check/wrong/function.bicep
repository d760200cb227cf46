// lowercase is no function that this check knows
param a string
output b string = lowercase(a)
