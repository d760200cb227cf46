// cannot be parsed; ] is missing
var a = [
output b array = a
