internal import Glibc

/// Variables of the environment, or a table that stands for them.
///
/// An empty variable counts as not set.
package struct Environment: Sendable {
    private let table: [String: String]?

    /// A table of variables, for tests and for callers with settings of their own.
    package init(_ table: [String: String]) {
        self.table = table
    }

    private init() {
        table = nil
    }

    /// This process's environment.
    package static let process = Environment()

    package subscript(_ name: String) -> String? {
        let value =
            if let table { table[name] } else { getenv(name).map { String(cString: $0) } }
        return value.flatMap { $0.isEmpty ? nil : $0 }
    }
}
