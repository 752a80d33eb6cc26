internal import EventModel

/// A line of a JSON-lines file.
package enum JSONLine {
    /// A native event, which has `schema` and `type`.
    case event(EventView)
    /// Another object.
    case object(JSONMembers)
    /// A native event that the loader would reject, or a line that is no object, with the reason.
    case faulty(String)
}

/// The members of an object, valid until the next line.
package struct JSONMembers {
    let root: TapeValue
    let names: NameTable

    /// Hands out the members with numbers that stand for their names, see ``JSONLineReader/names``.
    package func forEach(_ body: (_ name: Int, EventValue) -> Void) {
        var place = root.index + 1
        while place < root.end {
            let key = root.at(place).text
            let value = root.at(place + 1)
            place = value.next
            body(names.number(key), EventValue(value))
        }
    }
}

/// Reads a stream of JSON lines: native events, or objects of any members.
///
/// One thread at a time; constant memory.
package final class JSONLineReader {
    private let parser = JSONParser()
    private let decoder = EventDecoder()
    private let splitter = LineSplitter()
    private let table = NameTable()
    private var line = 0
    private static let schema = TextBytes(immortal: "schema")
    private static let type = TextBytes(immortal: "type")
    /// Old events are what a reference is made of: any time until the year 9999.
    private let window = TimeWindow(sealed_ms: 253_402_300_000_000, replay: true)

    package init() {}

    /// Names by the numbers that are handed out.
    package var names: [String] { table.names }

    /// Takes the next bytes, in pieces of any size.
    ///
    /// - Parameter body: takes each line that is not blank, with its number from 1.
    package func append(_ bytes: UnsafeRawBufferPointer, _ body: (Int, JSONLine) throws -> Void) rethrows {
        try splitter.append(bytes) { start, count, ending in
            try take(start, count, ending == .tooLong, body)
        }
    }

    /// Takes a last line without a newline.
    package func finish(_ body: (Int, JSONLine) throws -> Void) rethrows {
        try splitter.finish { start, count, ending in try take(start, count, ending == .tooLong, body) }
    }

    private func take(
        _ start: UnsafePointer<UInt8>, _ count: Int, _ isTooLong: Bool, _ body: (Int, JSONLine) throws -> Void
    ) rethrows {
        line += 1
        if isTooLong { return try body(line, .faulty("the line is over 1048576 bytes")) }
        if UnsafeBufferPointer(start: start, count: count).allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) {
            return
        }
        try body(line, read(start, count))
    }

    private func read(_ start: UnsafePointer<UInt8>, _ count: Int) -> JSONLine {
        do throws(Fault) {
            let root = try parser.parse(start, count: count)
            guard root.kind == TapeValue.Kind.object else { throw Fault(.not_an_object, .notAnObject, kind: root.kind) }
            guard root.member(Self.schema) != nil, root.member(Self.type) != nil else {
                return .object(JSONMembers(root: root, names: table))
            }
            try decoder.decode(root, in: window)
            return .event(EventView(decoder, table))
        } catch {
            return .faulty(error.detail)
        }
    }
}
