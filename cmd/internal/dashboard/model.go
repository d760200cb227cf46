package dashboard

// What Grafana reads: the part of its classic dashboard format (schema version 41) that is used here. Newer versions of
// Grafana migrate it when they load it.

type page struct {
	ID            *int           `json:"id"`
	UID           string         `json:"uid"`
	Title         string         `json:"title"`
	Description   string         `json:"description"`
	Tags          []string       `json:"tags"`
	Editable      bool           `json:"editable"`
	GraphTooltip  int            `json:"graphTooltip"` // 1: the crosshair is shared
	SchemaVersion int            `json:"schemaVersion"`
	Timezone      string         `json:"timezone"`
	Refresh       string         `json:"refresh"`
	Time          timeRange      `json:"time"`
	Annotations   listOf[marker] `json:"annotations"`
	Templating    listOf[choice] `json:"templating"`
	Links         []struct{}     `json:"links"`
	Panels        []widget       `json:"panels"`
}

type timeRange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type listOf[T any] struct {
	List []T `json:"list"`
}

type source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// marker is an annotation query.
type marker struct {
	Name        string `json:"name"`
	Datasource  source `json:"datasource"`
	Enable      bool   `json:"enable"`
	IconColor   string `json:"iconColor"`
	Expr        string `json:"expr"`
	Step        string `json:"step"`
	TitleFormat string `json:"titleFormat"`
	TextFormat  string `json:"textFormat"`
}

// choice is a variable.
type choice struct {
	Name        string   `json:"name"`
	Type        string   `json:"type"`
	Label       string   `json:"label"`
	Description string   `json:"description"`
	Datasource  *source  `json:"datasource,omitempty"`
	Query       any      `json:"query"`
	Definition  string   `json:"definition,omitempty"`
	Refresh     int      `json:"refresh,omitempty"` // 2: when the time range changes
	Sort        int      `json:"sort,omitempty"`
	Multi       bool     `json:"multi,omitempty"`
	IncludeAll  bool     `json:"includeAll,omitempty"`
	AllValue    string   `json:"allValue,omitempty"`
	Current     *option  `json:"current,omitempty"`
	Options     []option `json:"options,omitempty"`
}

type option struct {
	Selected bool `json:"selected"`
	Text     any  `json:"text"`
	Value    any  `json:"value"`
}

// widget is a panel, or the row above some.
type widget struct {
	ID          int          `json:"id"`
	Type        string       `json:"type"`
	Title       string       `json:"title"`
	Description string       `json:"description,omitempty"`
	GridPos     grid         `json:"gridPos"`
	Datasource  *source      `json:"datasource,omitempty"`
	Targets     []target     `json:"targets,omitempty"`
	FieldConfig *fieldConfig `json:"fieldConfig,omitempty"`
	Options     any          `json:"options,omitempty"`
	// Of a row: those of a collapsed one are inside.
	Collapsed *bool     `json:"collapsed,omitempty"`
	Panels    *[]widget `json:"panels,omitempty"`
}

type grid struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

// target is one query.
type target struct {
	RefID        string        `json:"refId"`
	Datasource   source        `json:"datasource"`
	Expr         string        `json:"expr,omitempty"`
	LegendFormat string        `json:"legendFormat,omitempty"`
	Format       string        `json:"format,omitempty"`
	EditorMode   string        `json:"editorMode,omitempty"`
	Range        bool          `json:"range,omitempty"`
	Exemplar     bool          `json:"exemplar,omitempty"`
	QueryType    string        `json:"queryType,omitempty"`
	Subscription string        `json:"subscription,omitempty"`
	AzureMonitor *azureMonitor `json:"azureMonitor,omitempty"`
}

type azureMonitor struct {
	Resources        []azureResource  `json:"resources"`
	MetricNamespace  string           `json:"metricNamespace"`
	MetricName       string           `json:"metricName"`
	Aggregation      string           `json:"aggregation"`
	TimeGrain        string           `json:"timeGrain"`
	DimensionFilters []azureDimension `json:"dimensionFilters"`
	Alias            string           `json:"alias"`
}

type azureResource struct {
	Subscription    string `json:"subscription"`
	ResourceGroup   string `json:"resourceGroup"`
	MetricNamespace string `json:"metricNamespace"`
	ResourceName    string `json:"resourceName"`
}

type azureDimension struct {
	Dimension string   `json:"dimension"`
	Operator  string   `json:"operator"`
	Filters   []string `json:"filters"`
}

type fieldConfig struct {
	Defaults  field      `json:"defaults"`
	Overrides []override `json:"overrides"`
}

type field struct {
	Unit       string         `json:"unit"`
	Decimals   *int           `json:"decimals,omitempty"`
	Min        *float64       `json:"min,omitempty"`
	Max        *float64       `json:"max,omitempty"`
	NoValue    string         `json:"noValue,omitempty"`
	Color      map[string]any `json:"color"`
	Thresholds thresholds     `json:"thresholds"`
	Mappings   []mapping      `json:"mappings,omitempty"`
	Custom     map[string]any `json:"custom,omitempty"`
}

type thresholds struct {
	Mode  string `json:"mode"`
	Steps []step `json:"steps"`
}

// step is a threshold: the colour from the value on. The first has none.
type step struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"`
}

type mapping struct {
	Type    string                   `json:"type"`
	Options map[string]mappingResult `json:"options"`
}

type mappingResult struct {
	Text  string `json:"text"`
	Color string `json:"color"`
	Index int    `json:"index"`
}

type override struct {
	Matcher    matcher    `json:"matcher"`
	Properties []property `json:"properties"`
}

type matcher struct {
	ID      string `json:"id"`
	Options string `json:"options"`
}

type property struct {
	ID    string `json:"id"`
	Value any    `json:"value"`
}
