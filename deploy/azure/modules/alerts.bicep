// The alerts of deploy/prometheus/rules.yml on the workspace, and what no PromQL can see: without a replica nobody writes.
param location string
param name string
param emails array
param workspaceId string
param namespaceId string
param queueName string
param appId string
param backlogMessages int
param tags object

var groups = any(loadYamlContent('../../prometheus/rules.yml')).groups

// A rule group of Azure Monitor takes 20 rules.
var most = 20
var parts = flatten(map(groups, group => map(range(0, (length(group.rules) + most - 1) / most), part => {
  name: '${group.name}-${part + 1}'
  rules: take(skip(group.rules, part * most), most)
})))

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(emails)) {
  name: '${name}-people'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'bt-people'
    emailReceivers: [for (email, i) in emails: { name: 'mail-${i + 1}', emailAddress: email, useCommonAlertSchema: true }]
  }
}

var actions = empty(emails) ? [] : [{ actionGroupId: people.id }]

resource rules 'Microsoft.AlertsManagement/prometheusRuleGroups@2023-03-01' = [for part in parts: {
  name: '${name}-${part.name}'
  location: location
  tags: tags
  properties: {
    scopes: [workspaceId]
    interval: 'PT1M'
    enabled: true
    // Recording rules have neither "for" nor labels. Durations are in minutes and hours.
    rules: map(part.rules, rule => contains(rule, 'record') ? {
      record: rule.record
      expression: rule.expr
      labels: rule.?labels ?? {}
      enabled: true
    } : {
      alert: rule.alert
      expression: rule.expr
      for: 'PT${toUpper(rule.?for ?? '0m')}'
      severity: rule.labels.severity == 'page' ? 1 : 3
      labels: rule.labels
      annotations: rule.annotations
      actions: actions
      enabled: true
    })
  }
}]

var ofTheQueue = [{ name: 'EntityName', operator: 'Include', values: [queueName] }]

var bus = 'Microsoft.ServiceBus/Namespaces'

var platform = [
  {
    name: 'backlog'
    description: 'Messages wait for 15 minutes: no replica runs, or too few. Look at the scale rule, then at the replicas.'
    severity: 1
    scope: namespaceId
    window: 'PT15M'
    criteria: [{ metric: 'ActiveMessages', space: bus, aggregation: 'Minimum', operator: 'GreaterThan', threshold: backlogMessages, dimensions: ofTheQueue }]
  }
  {
    name: 'nobody-works'
    description: 'Messages wait and none is completed: no replica runs, or none can work. Look at the scale rule and at the log of the last revision.'
    severity: 1
    scope: namespaceId
    window: 'PT15M'
    criteria: [
      { metric: 'ActiveMessages', space: bus, aggregation: 'Minimum', operator: 'GreaterThan', threshold: 0, dimensions: ofTheQueue }
      { metric: 'CompleteMessage', space: bus, aggregation: 'Total', operator: 'LessThan', threshold: 1, dimensions: ofTheQueue }
    ]
  }
  {
    name: 'dead-letters'
    description: 'The dead-letter queue is not empty: somebody has to look at what is in it.'
    severity: 3
    scope: namespaceId
    window: 'PT15M'
    criteria: [{ metric: 'DeadletteredMessages', space: bus, aggregation: 'Maximum', operator: 'GreaterThan', threshold: 0, dimensions: ofTheQueue }]
  }
  {
    name: 'throttled'
    description: 'Service Bus throttles the namespace; counts are then wrong too, and with them the number of replicas.'
    severity: 3
    scope: namespaceId
    window: 'PT15M'
    criteria: [{ metric: 'ThrottledRequests', space: bus, aggregation: 'Total', operator: 'GreaterThan', threshold: 0, dimensions: [] }]
  }
  {
    name: 'restarts'
    description: 'A replica restarts again and again: it ends by itself, or fails its check before the start. Its log says why.'
    severity: 1
    scope: appId
    window: 'PT30M'
    criteria: [{ metric: 'RestartCount', space: 'Microsoft.App/containerapps', aggregation: 'Maximum', operator: 'GreaterThan', threshold: 3, dimensions: [] }]
  }
]

resource metricAlerts 'Microsoft.Insights/metricAlerts@2018-03-01' = [for alert in platform: {
  name: '${name}-${alert.name}'
  location: 'global'
  tags: tags
  properties: {
    description: alert.description
    severity: alert.severity
    enabled: true
    autoMitigate: true
    scopes: [alert.scope]
    evaluationFrequency: 'PT5M'
    windowSize: alert.window
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: map(alert.criteria, (c, i) => {
        criterionType: 'StaticThresholdCriterion'
        name: 'criterion-${i + 1}'
        metricName: c.metric
        metricNamespace: c.space
        timeAggregation: c.aggregation
        operator: c.operator
        threshold: c.threshold
        dimensions: c.dimensions
        skipMetricValidation: true
      })
    }
    actions: actions
  }
}]
