// types: properties.criteria.allOf[].metricName is required
resource alert 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'a'
  location: 'global'
  properties: {
    severity: 1
    enabled: true
    scopes: []
    evaluationFrequency: 'PT5M'
    windowSize: 'PT5M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [{ criterionType: 'StaticThresholdCriterion', name: 'c', metricNames: 'x', timeAggregation: 'Total', operator: 'GreaterThan', threshold: 0 }]
    }
  }
}
