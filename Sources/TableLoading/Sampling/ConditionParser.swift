internal import RecordBatches

/// Reads a condition by recursive descent: or of ands of nots of comparisons.
struct ConditionParser {
    let text: String
    let tokens: [ConditionToken]
    private(set) var operands: [Condition.Operand] = []
    private var next = 0
    private var depth = 0
    /// Deepest nesting of parentheses and nots.
    private static let deepest = 100

    init(text: String, tokens: [ConditionToken]) {
        self.text = text
        self.tokens = tokens
    }

    mutating func condition() throws(ConditionError) -> Condition.Node {
        let node = try or()
        guard token.kind == .end else { throw error("here should be and, or, or the end") }
        return node
    }

    private var token: ConditionToken { tokens[next] }

    private func error(_ message: String) -> ConditionError {
        ConditionError(text: text, place: token.place, message: message)
    }

    private mutating func take(word: String) -> Bool {
        guard case .name(let name) = token.kind, name.lowercased() == word else { return false }
        next += 1
        return true
    }

    private mutating func take(symbol: String) -> Bool {
        guard token.kind == .symbol(symbol) else { return false }
        next += 1
        return true
    }

    private mutating func or() throws(ConditionError) -> Condition.Node {
        var node = try and()
        while take(word: "or") { node = .or(node, try and()) }
        return node
    }

    private mutating func and() throws(ConditionError) -> Condition.Node {
        var node = try not()
        while take(word: "and") { node = .and(node, try not()) }
        return node
    }

    private mutating func not() throws(ConditionError) -> Condition.Node {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.deepest else { throw error("nested deeper than \(Self.deepest) levels") }
        if take(word: "not") { return .not(try not()) }
        guard take(symbol: "(") else { return try comparison() }
        let node = try or()
        guard take(symbol: ")") else { throw error("a parenthesis is not closed: here should be )") }
        return node
    }

    private mutating func comparison() throws(ConditionError) -> Condition.Node {
        let operand = try operand()
        if take(word: "is") {
            let isNegated = take(word: "not")
            guard take(word: "missing") else { throw error("after is comes missing, or not missing") }
            return isNegated ? .not(.isMissing(operand)) : .isMissing(operand)
        }
        let isNegated = take(word: "not")
        if take(word: "in") {
            guard take(symbol: "(") else { throw error("after in comes a list, such as (\"de\", \"at\")") }
            var literals: [Condition.Literal] = []
            repeat { literals.append(try literal(operand)) } while take(symbol: ",")
            guard take(symbol: ")") else { throw error("here should be a comma or )") }
            return isNegated ? .not(.isIn(operand, literals)) : .isIn(operand, literals)
        }
        guard !isNegated, case .symbol(let symbol) = token.kind, let comparison = Condition.Comparison(rawValue: symbol)
        else {
            throw error(
                isNegated
                    ? "after not comes in, or not stands before the comparison"
                    : "after \(operand.name) comes =, !=, <, <=, >, >=, in or is missing")
        }
        next += 1
        return .compare(operand, comparison, try literal(operand))
    }

    private static let words: Set<String> = ["and", "or", "not", "in", "is", "missing", "true", "false"]

    private mutating func name() throws(ConditionError) -> (name: String, isQuoted: Bool) {
        switch token.kind {
        case .quotedName(let name):
            next += 1
            return (name, true)
        case .name(let name) where !Self.words.contains(name.lowercased()):
            next += 1
            return (name, false)
        case .end: throw error("here should be a name")
        case .text, .number: throw error("a comparison begins with a name, the value comes after it")
        default: throw error("here should be a name; one that is a word of the grammar goes between backquotes")
        }
    }

    private mutating func operand() throws(ConditionError) -> Condition.Operand {
        let begin = next
        let (first, isQuoted) = try name()
        var operand: Condition.Operand
        if !isQuoted, ["features", "tags", "scores"].contains(first), token.kind == .symbol(".") {
            next += 1
            let (member, _) = try name()
            let path: EventPath =
                switch first {
                case "features": .feature(member)
                case "tags": .tag(member)
                default: .classScore(member)
                }
            operand = Condition.Operand(name: "\(first).\(member)", paths: [path], isTime: false)
        } else if token.kind == .symbol(".") {
            next = begin
            throw error("before a dot stands features, tags or scores")
        } else if !isQuoted, let path = EventPath.field(first) {
            operand = Condition.Operand(name: first, paths: [path], isTime: first == "time")
        } else {
            operand = Condition.Operand(name: first, paths: [.feature(first), .tag(first)], isTime: false)
        }
        if !operands.contains(where: { $0.name == operand.name }) { operands.append(operand) }
        return operand
    }

    private mutating func literal(_ operand: Condition.Operand) throws(ConditionError) -> Condition.Literal {
        let kind = token.kind
        switch kind {
        case .number(let number):
            next += 1
            return .number(number)
        case .text(let text) where operand.isTime:
            guard let time = LooseTime.parse(text) else {
                throw error("a time is written \"2026-11-23T10:15:30Z\"")
            }
            next += 1
            return .number(Double(time))
        case .text(let text):
            next += 1
            return .text(text)
        case .name(let name) where ["true", "false"].contains(name.lowercased()):
            next += 1
            return .bool(name.lowercased() == "true")
        case .name(let name), .quotedName(let name):
            throw error("the value is a number, a text, true or false; did you mean \"\(name)\"?")
        default: throw error("here should be a number, a text between quotes, true or false")
        }
    }
}
