// y is not declared
output a array = map([1], x => x + y)
