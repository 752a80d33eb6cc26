import FoundationEssentials

/// The overview dashboard as it lies in `deploy/grafana/dashboards`.
struct Dashboard: Sendable {
    /// A statement of a panel, an annotation or a variable.
    struct Statement: Sendable {
        enum Kind: Sendable { case panel, annotation, variable }
        let kind: Kind
        let name: String
        /// `time_series` or `table`.
        let format: String
        let sql: String
    }

    let document: JSONValue

    static func overview() throws -> Dashboard {
        let bytes = try Data(
            contentsOf: URL(fileURLWithPath: Checkout.root + "/deploy/grafana/dashboards/nadi-overview.json"))
        return Dashboard(document: try JSONDecoder().decode(JSONValue.self, from: bytes))
    }

    /// All panels, rows' own among them, rows left out.
    var panels: [JSONValue] {
        let all = document["panels"]?.elements ?? []
        return all.flatMap { [$0] + ($0["panels"]?.elements ?? []) }.filter { $0["type"]?.text != "row" }
    }

    var variables: [JSONValue] { document["templating"]?["list"]?.elements ?? [] }
    var annotations: [JSONValue] { document["annotations"]?["list"]?.elements ?? [] }

    var statements: [Statement] {
        panels.flatMap { panel in
            (panel["targets"]?.elements ?? []).compactMap { target in
                target["rawSql"]?.text.map {
                    Statement(
                        kind: .panel, name: panel["title"]?.text ?? "?", format: target["format"]?.text ?? "?", sql: $0)
                }
            }
        }
            + annotations.compactMap { annotation in
                annotation["target"]?["rawSql"]?.text.map {
                    Statement(
                        kind: .annotation, name: annotation["name"]?.text ?? "?",
                        format: annotation["target"]?["format"]?.text ?? "?", sql: $0)
                }
            }
            + variables.compactMap { variable in
                guard variable["type"]?.text == "query", let sql = variable["query"]?.text else { return nil }
                return Statement(kind: .variable, name: variable["name"]?.text ?? "?", format: "table", sql: sql)
            }
    }
}

/// Where the checkout lies.
enum Checkout {
    static var root: String { #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined() }

    /// The text of a file of the checkout.
    static func text(_ path: String) throws -> String {
        String(decoding: try Data(contentsOf: URL(fileURLWithPath: "\(root)/\(path)")), as: UTF8.self)
    }
}
