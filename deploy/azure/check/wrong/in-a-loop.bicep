// types: properties.rules[].expression is required
resource rules 'Microsoft.AlertsManagement/prometheusRuleGroups@2023-03-01' = [for part in [1]: {
  name: 'r-${part}'
  location: 'x'
  properties: { scopes: [], rules: map([part], rule => { alert: string(rule) }) }
}]
