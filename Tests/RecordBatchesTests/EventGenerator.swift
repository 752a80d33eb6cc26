import TestSupport

/// Random event lines of all types from a seed, some of them bad.
struct EventGenerator {
    var random: SeededGenerator

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int(random.next() % UInt64(elements.count))]
    }

    mutating func chance(_ oneIn: UInt64) -> Bool { random.next() % oneIn == 0 }

    mutating func line() -> String {
        let day = pick(["2026-11-22", "2026-11-23", "2026-10-01"])
        let hour = pick(["08", "09", "10"])
        let minute = pick(["01", "02", "15"])
        let head =
            #"{"schema":1,"time":"\#(day)T\#(hour):\#(minute):30.123Z","model_name":"\#(pick(["iris", "fraud"]))","#
        switch random.next() % 20 {
        case 0:
            return head
                + #""type":"outcome","prediction_id":"p\#(random.next() % 50)","label":\#(pick(["true", "2", "\"a\""]))}"#
        case 1: return head + #""type":"feedback","prediction_id":"p1","name":"thumbs","score":\#(pick(["0", "1"]))}"#
        case 2:
            return head
                + #""type":"resource","service":"s\#(random.next() % 3)","interval_seconds":10,"threads":\#(random.next() % 9)}"#
        case 3: return head + #""type":"deployment","model_version":"\#(random.next() % 3)"}"#
        case 4:
            return pick(["", "not json", head + #""type":"nothing"}"#, head + #""type":"prediction"}"#, "[]", "{}"])
        default: break
        }
        var fields = [#""type":"prediction","model_version":"\#(random.next() % 2)""#]
        if chance(2) { fields.append(#""tags":{"region":"r\#(random.next() % 12)"}"#) }
        if chance(2) { fields.append(#""latency_seconds":\#(Double.random(in: 0..<2, using: &random))"#) }
        if chance(3) { fields.append(#""batch_index":\#(random.next() % 3)"#) }
        if chance(10) { fields.append(#""status":"error""#) }
        if chance(3) { fields.append(#""environment":"prod""#) }
        fields.append(#""prediction":"# + pick(["true", "false", "1.5", "\"a\"", "\"b\"", "null", "3"]))
        if chance(2) { fields.append(#""score":\#(Double.random(in: 0...1, using: &random))"#) }
        if chance(3) { fields.append(#""scores":{"c\#(random.next() % 30)":0.25,"a":0.5}"#) }
        let features = (0..<Int(random.next() % 6)).map { index in
            let value =
                switch random.next() % 8 {
                case 0: "null"
                case 1: "\"v\(random.next() % 40)\""
                case 2: "[]"
                case 3: "true"
                default: "\(1e9 + Double.random(in: -2..<2, using: &random))"
                }
            return "\"f\(index)\":\(value)"
        }
        fields.append(#""features":{"# + features.joined(separator: ",") + "}")
        return head + fields.joined(separator: ",") + "}"
    }
}
