// there is no rules.yml
output a object = loadYamlContent('rules.yml')
