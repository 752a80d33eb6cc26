internal import DurableIO

/// Where an installed program finds its migrations.
package enum MigrationDirectory {
    /// The first directory that holds migrations, of: `explicit` (alone, if given); `sql` beside the executable and in
    /// `../share/nadi`; `/usr/share/nadi/sql`; `sql` in the executable's checkout (its folders upwards).
    /// - Throws: ``MigrationError`` naming every place that was searched.
    package static func find(explicit: String?, executable: String) throws -> String {
        if let explicit { return explicit }
        var folder =
            executable.contains("/")
            ? String(executable[..<(executable.lastIndex(of: "/") ?? executable.endIndex)]) : "."
        var places = [
            folder + "/sql", folder + "/../share/nadi/sql", "/usr/share/nadi/sql", "/usr/local/share/nadi/sql",
        ]
        while let slash = folder.lastIndex(of: "/"), slash != folder.startIndex {
            folder = String(folder[..<slash])
            places.append(folder + "/sql")
        }
        for place in places {
            if let entries = try? DurableFile.list(place), entries.contains(where: { $0.name.hasPrefix("0001_") }) {
                return place
            }
        }
        throw MigrationError(
            code: .noFiles, message: "no migrations in any of \(places.joined(separator: ", "))",
            remedy: "Name their directory with --sql-directory")
    }
}
