/// A word of a condition.
struct ConditionToken: Equatable {
    enum Kind: Equatable {
        case name(String)
        /// A name between backquotes: never a word of the grammar.
        case quotedName(String)
        case text(String)
        case number(Double)
        /// One of = != < <= > >= ( ) , .
        case symbol(String)
        case end
    }

    let kind: Kind
    /// In characters from 0.
    let place: Int

    /// Takes a condition apart.
    /// - Throws: ``ConditionError``.
    static func all(_ text: String) throws(ConditionError) -> [ConditionToken] {
        let characters = Array(text)
        var tokens: [ConditionToken] = []
        var place = 0
        while place < characters.count {
            let begin = place
            let character = characters[place]
            if character.isWhitespace {
                place += 1
                continue
            }
            let isMinus = character == "-" && place + 1 < characters.count && isDigit(characters[place + 1])
            if isDigit(character) || isMinus {
                place += 1
                while place < characters.count,
                    isDigit(characters[place]) || characters[place] == "."
                        || ("eE".contains(characters[place]))
                        || ("+-".contains(characters[place]) && "eE".contains(characters[place - 1]))
                { place += 1 }
                let word = String(characters[begin..<place])
                guard let number = Double(word), number.isFinite else {
                    throw ConditionError(text: text, place: begin, message: "\(word) is no number")
                }
                tokens.append(ConditionToken(kind: .number(number), place: begin))
            } else if character == "\"" || character == "'" || character == "`" {
                var word = ""
                place += 1
                while place < characters.count, characters[place] != character {
                    if characters[place] == "\\", character != "`", place + 1 < characters.count { place += 1 }
                    word.append(characters[place])
                    place += 1
                }
                guard place < characters.count else {
                    throw ConditionError(text: text, place: begin, message: "the text that begins here has no end")
                }
                place += 1
                tokens.append(
                    ConditionToken(kind: character == "`" ? .quotedName(word) : .text(word), place: begin))
            } else if character.isLetter || character == "_" {
                while place < characters.count,
                    characters[place].isLetter || isDigit(characters[place]) || "_-".contains(characters[place])
                { place += 1 }
                tokens.append(ConditionToken(kind: .name(String(characters[begin..<place])), place: begin))
            } else {
                let two = String(characters[begin..<min(begin + 2, characters.count)])
                let symbols = ["==": "=", "!=": "!=", "<>": "!=", "<=": "<=", ">=": ">="]
                if let symbol = symbols[two] {
                    tokens.append(ConditionToken(kind: .symbol(symbol), place: begin))
                    place += 2
                } else if "=<>(),.".contains(character) {
                    tokens.append(ConditionToken(kind: .symbol(String(character)), place: begin))
                    place += 1
                } else {
                    throw ConditionError(text: text, place: begin, message: "\(character) means nothing here")
                }
            }
        }
        tokens.append(ConditionToken(kind: .end, place: characters.count))
        return tokens
    }

    private static func isDigit(_ character: Character) -> Bool { ("0"..."9").contains(character) }
}
