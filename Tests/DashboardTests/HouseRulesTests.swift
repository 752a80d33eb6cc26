import Testing

/// The dashboard's JSON against what Grafana's schema, its linters and its known bugs ask for.
@Suite struct HouseRulesTests {
    let dashboard: Dashboard

    init() throws { dashboard = try Dashboard.overview() }

    @Test func theDocumentIsClassicAndProvisionable() {
        let document = dashboard.document
        let known: Set = [
            "annotations", "description", "editable", "fiscalYearStartMonth", "graphTooltip", "id", "links", "liveNow",
            "panels",
            "preload", "refresh", "schemaVersion", "tags", "templating", "time", "timepicker", "timezone", "title",
            "uid",
            "version", "weekStart",
        ]
        #expect(Set(document.keys).subtracting(known).isEmpty)
        #expect(document["schemaVersion"]?.number == 42)
        #expect(document["uid"]?.text == "nadi-overview")
        #expect(document["editable"]?.boolean == false)
        #expect(document["timezone"]?.text == "utc")
        #expect(document["refresh"]?.text == "1m")
        let intervals = document["timepicker"]?["refresh_intervals"]?.elements.compactMap(\.text) ?? []
        #expect(!intervals.isEmpty && !intervals.contains { $0.hasSuffix("s") })
    }

    @Test func panelsAreComplete() {
        let panelKeys: Set = [
            "datasource", "description", "fieldConfig", "gridPos", "id", "interval", "options", "targets", "title",
            "type",
        ]
        for panel in dashboard.panels {
            let title = panel["title"]?.text ?? "a panel without a title"
            #expect(Set(panel.keys).subtracting(panelKeys).isEmpty, "\(title)")
            #expect((panel["description"]?.text ?? "").count >= 40, "\(title): description")
            #expect(panel["datasource"]?["uid"]?.text == "${datasource}", "\(title): data source")
            #expect(["1m", "1h"].contains(panel["interval"]?.text), "\(title): least interval")
            let defaults = panel["fieldConfig"]?["defaults"]
            #expect(defaults?["unit"]?.text?.isEmpty == false, "\(title): unit")
            #expect(defaults?["noValue"]?.text?.isEmpty == false, "\(title): noValue")
            for target in panel["targets"]?.elements ?? [] {
                #expect(target["datasource"]?["uid"]?.text == "${datasource}", "\(title): target's data source")
                #expect(target["datasource"]?["type"]?.text == "grafana-postgresql-datasource")
                #expect(target["rawQuery"]?.boolean == true)
                #expect(["time_series", "table"].contains(target["format"]?.text))
            }
        }
    }

    /// The options that Grafana's published schemas require of each panel type, and all that they know.
    @Test func optionsAreThoseOfThePanelTypes() {
        let known: [String: (required: Set<String>, optional: Set<String>)] = [
            "timeseries": (["legend", "tooltip"], ["timezone", "orientation"]),
            "stat": (
                [
                    "graphMode", "colorMode", "justifyMode", "textMode", "wideLayout", "showPercentChange",
                    "percentChangeColorMode", "reduceOptions", "orientation",
                ], ["text"]
            ),
            "table": (
                ["frameIndex", "showHeader"], ["cellHeight", "footer", "sortBy", "showTypeIcons", "enablePagination"]
            ),
            "heatmap": (
                ["color", "showValue", "yAxis", "legend", "tooltip", "exemplars"],
                [
                    "calculate", "calculation", "filterValues", "rowsFrame", "cellGap", "cellRadius", "cellValues",
                    "selectionMode",
                ]
            ),
            "state-timeline": (
                ["showValue", "rowHeight", "legend", "tooltip"], ["mergeValues", "alignValue", "timezone", "perPage"]
            ),
            "barchart": (
                [
                    "orientation", "xTickLabelRotation", "xTickLabelMaxLength", "stacking", "showValue", "barWidth",
                    "groupWidth", "legend", "tooltip", "fullHighlight",
                ],
                ["xField", "colorByField", "barRadius", "xTickLabelSpacing", "text"]
            ),
        ]
        for panel in dashboard.panels {
            let type = panel["type"]?.text ?? ""
            let title = panel["title"]?.text ?? "?"
            guard let rules = known[type] else {
                Issue.record("\(title): nothing is known of the type \(type)")
                continue
            }
            let options = Set(panel["options"]?.keys ?? [])
            #expect(rules.required.isSubset(of: options), "\(title) lacks \(rules.required.subtracting(options))")
            #expect(options.subtracting(rules.required).isSubset(of: rules.optional), "\(title): \(options)")
            if let legend = panel["options"]?["legend"], type != "heatmap" {
                #expect(Set(legend.keys) == ["displayMode", "placement", "showLegend", "calcs"], "\(title)")
            }
        }
    }

    @Test func identifiersAreUniqueAndPanelsDoNotOverlap() {
        let all = dashboard.document["panels"]?.elements ?? []
        let ids = all.compactMap { $0["id"]?.number }
        #expect(ids.count == all.count && Set(ids).count == ids.count)
        var taken: Set<[Int]> = []
        for panel in all {
            guard let place = panel["gridPos"], let x = place["x"]?.number, let y = place["y"]?.number,
                let width = place["w"]?.number, let height = place["h"]?.number
            else {
                Issue.record("a panel has no place")
                continue
            }
            #expect(x + width <= 24)
            for column in Int(x)..<Int(x + width) {
                for line in Int(y)..<Int(y + height) {
                    #expect(
                        taken.insert([column, line]).inserted,
                        "\(panel["title"]?.text ?? "?") overlaps at \(column), \(line)")
                }
            }
        }
    }

    @Test func theThreeQuestionsAndThePipelineAreRows() {
        let rows = (dashboard.document["panels"]?.elements ?? []).filter { $0["type"]?.text == "row" }.compactMap {
            $0["title"]?.text
        }
        #expect(rows == ["Is it up?", "Is its input what it was?", "Is it right?", "Pipeline"])
        #expect(dashboard.panels.first?["title"]?.text == "Complete until")
        #expect(dashboard.statements.count { $0.kind == .panel } <= 38)
        #expect(dashboard.statements.contains { $0.kind == .annotation && $0.name == "Deployments" })
    }

    /// What somebody who is woken at night asks of the fleet, each answered by a column of a panel of the last row.
    @Test func thePipelineRowAnswersForTheFleet() throws {
        let all = dashboard.document["panels"]?.elements ?? []
        let start = try #require(all.firstIndex { $0["title"]?.text == "Pipeline" })
        let row = all[(start + 1)...]
        let columns: [String: [String]] = [
            "Last audit": ["Failures"],
            "What the audit found": ["finding", "state", "evidence", "remedy", "since"],
            "Fleet": [
                "state", "behind", "segments", "bytes", "oldest", "writers", "dropped", "unloaded", "poisoned", "error",
            ],
            "Objects not loaded": ["state", "attempts", "error", "object"],
            "Dropped lines": ["reason", "lines"], "Rejects": ["reason", "lines"],
            "Loads": ["rejected"], "Ledger less tables": ["value"],
        ]
        #expect(Set(row.compactMap { $0["title"]?.text }) == Set(columns.keys))
        for panel in row {
            let title = panel["title"]?.text ?? ""
            let sql = panel["targets"]?.elements.first?["rawSql"]?.text ?? ""
            for column in columns[title] ?? [] {
                #expect(
                    sql.contains(" AS \(column)") || sql.contains(" AS \"\(column)\"") || sql.contains(", \(column),")
                        || sql.contains("SELECT \(column),"), "\(title) shows no \(column)")
            }
        }
    }

    /// Whether the model is still right, from labels, clicks, revenue and feedback, and whether the next version is
    /// better: each answered by a column of a panel, with its interval and its n or coverage.
    @Test func theRowOfQualityAnswersWithIntervals() throws {
        let all = dashboard.document["panels"]?.elements ?? []
        let start = try #require(all.firstIndex { $0["title"]?.text == "Is it right?" })
        let row = all[(start + 1)...].prefix { $0["type"]?.text != "row" }
        let columns: [String: [String]] = [
            "Quality": ["p.value", "p.lower", "p.upper", "p.sample_count AS n"], "Label coverage": ["p.label_coverage"],
            "Label delay": ["p.delay_p50_seconds", "p.delay_p95_seconds"],
            "Estimate beside truth": [
                "p.estimate", "p.estimate_lower", "p.sample_count >= 200 THEN p.value", "p.lower", "p.upper",
                "p.sample_count AS n",
            ],
            "Calibration": ["p.score_mean", "p.positive_share", "p.lower", "p.upper", "p.labelled_count"],
            "Confusion": ["p.outcome_count", "p.share_of_label"],
            "Quality of the whole range": ["p.performance_state", "p.lower", "p.sample_count", "p.label_coverage"],
            "Estimated performance of the whole range": ["p.estimate", "p.lower", "p.upper"],
            "Can the estimates be trusted?": ["p.trust_state", "p.reason", "p.sample_count", "p.label_coverage"],
            "Clicks and conversions": [
                "p.rate", "p.rate_lower", "p.rate_upper", "p.sample_count AS n", "p.rate_state",
            ],
            "Value per prediction": [
                "p.value_per_prediction", "p.currency = ", "p.lower", "p.upper", "p.value_count AS n",
                "p.value_state",
            ],
            "Feedback": ["p.rate", "p.rate_lower", "p.rate_upper", "p.sample_count AS n", "p.rate_state"],
            "Versions compared": [
                "v.comparison_state", "v.difference", "v.lower", "v.upper", "v.p_value", "v.first_count",
                "v.first_coverage", "matured =>",
            ],
        ]
        #expect(Set(row.compactMap { $0["title"]?.text }) == Set(columns.keys))
        for panel in row {
            let title = panel["title"]?.text ?? ""
            let sql = panel["targets"]?.elements.first?["rawSql"]?.text ?? ""
            for column in columns[title] ?? [] { #expect(sql.contains(column), "\(title) shows no \(column)") }
            #expect(sql.contains("variants => ARRAY[${variant:sqlstring}]"), "\(title) counts shadows")
        }
    }

    @Test func statementsAvoidWhatGrafanaBreaks() throws {
        for statement in dashboard.statements {
            #expect(!statement.sql.contains("--") && !statement.sql.contains("/*"), "\(statement.name): comment")
            #expect(!statement.sql.contains(";"), "\(statement.name): several statements")
            #expect(!statement.sql.contains("nadi_store"), "\(statement.name): reads tables")
            #expect(
                statement.sql.contains("ORDER BY") || statement.sql.contains("nadi.complete_until"),
                "\(statement.name): order")
            for match in statement.sql.matches(of: /\$__timeFrom\(\)( [-+])|\$__timeTo\(\)( [-+])/) {
                Issue.record("\(statement.name): \(match.0) is arithmetic on an untyped literal")
            }
        }
    }

    @Test func everyVariableExistsAndIsQuoted() throws {
        let names = Set(dashboard.variables.compactMap { $0["name"]?.text })
        #expect(
            names == [
                "datasource", "model", "version", "environment", "slice_key", "slice_value", "baseline", "feature",
                "measure", "variant", "currency", "matured",
            ])
        for text in dashboard.document.texts {
            for match in text.matches(of: /\$\{([a-zA-Z0-9_]+)([:.][^}]*)?\}/) where !match.1.hasPrefix("__") {
                #expect(names.contains(String(match.1)), "\(match.0) in \(text)")
                #expect(match.1 == "datasource" || match.2 == ":sqlstring", "\(match.0) in \(text)")
            }
            for match in text.matches(of: /\$([a-zA-Z][a-zA-Z0-9_]*)/) {
                Issue.record("bare variable \(match.0) in \(text)")
            }
        }
        for variable in dashboard.variables where variable["type"]?.text == "query" {
            #expect(variable["refresh"]?.number == 2)
            #expect(variable["allValue"] == nil)
            #expect(variable["current"]?["text"] != nil && variable["current"]?["value"] != nil)
        }
        let source = dashboard.variables.first
        #expect(source?["type"]?.text == "datasource" && source?["query"]?.text == "grafana-postgresql-datasource")
    }

    @Test func provisioningNamesOneDataSourceAndNoSecret() throws {
        let source = try Checkout.text("deploy/grafana/provisioning/datasources/nadi.yaml")
        #expect(source.contains("uid: nadi-postgres") && source.contains("type: grafana-postgresql-datasource"))
        #expect(source.contains("timeInterval: 1m") && source.contains("password: ${NADI_READER_PASSWORD}"))
        let provider = try Checkout.text("deploy/grafana/provisioning/dashboards/nadi.yaml")
        #expect(provider.contains("type: file") && provider.contains("allowUiUpdates: false"))
    }
}
