/// Facts about a generated answer: who made it, its tokens, its price.
///
/// Lives on the heap, so that predictions of other kinds do not pay for it.
public struct Generation: Sendable {
    private struct Fields: Sendable {
        var provider: String?
        var request_model: String?
        var response_model: String?
        var input_tokens: Int?
        var output_tokens: Int?
        var cached_input_tokens: Int?
        var reasoning_tokens: Int?
        var time_to_first_chunk_seconds: Double?
        var finish_reason: String?
        var cost_usd: Double?
    }

    // An array of one element is the standard library's copy-on-write box.
    private var box = [Fields()]

    /// Facts of which none is known yet.
    public init() {}

    /// Who runs the model, for example `self` or a vendor's name.
    public var provider: String? {
        get { box[0].provider }
        set { box[0].provider = newValue }
    }
    /// The model that was asked for.
    public var request_model: String? {
        get { box[0].request_model }
        set { box[0].request_model = newValue }
    }
    /// The model that answered.
    public var response_model: String? {
        get { box[0].response_model }
        set { box[0].response_model = newValue }
    }
    /// Tokens of the request.
    public var input_tokens: Int? {
        get { box[0].input_tokens }
        set { box[0].input_tokens = newValue }
    }
    /// Tokens of the answer.
    public var output_tokens: Int? {
        get { box[0].output_tokens }
        set { box[0].output_tokens = newValue }
    }
    /// Tokens of the request that were read from a cache.
    public var cached_input_tokens: Int? {
        get { box[0].cached_input_tokens }
        set { box[0].cached_input_tokens = newValue }
    }
    /// Tokens of the answer that nobody sees.
    public var reasoning_tokens: Int? {
        get { box[0].reasoning_tokens }
        set { box[0].reasoning_tokens = newValue }
    }
    /// Time until the first part of the answer, in seconds.
    public var time_to_first_chunk_seconds: Double? {
        get { box[0].time_to_first_chunk_seconds }
        set { box[0].time_to_first_chunk_seconds = newValue }
    }
    /// Why the answer ended, for example `stop` or `length`.
    public var finish_reason: String? {
        get { box[0].finish_reason }
        set { box[0].finish_reason = newValue }
    }
    /// What it cost, in US dollars.
    public var cost_usd: Double? {
        get { box[0].cost_usd }
        set { box[0].cost_usd = newValue }
    }

    borrowing func write(to event: inout EventFields) {
        // Every field brings its comma: an object's first may not have one, so it is taken back.
        event.line.append(",\"genai\":{")
        let start = event.line.count
        event.optional(",\"provider\":", name: provider)
        event.optional(",\"request_model\":", name: request_model)
        event.optional(",\"response_model\":", name: response_model)
        event.optional(",\"input_tokens\":", count: input_tokens)
        event.optional(",\"output_tokens\":", count: output_tokens)
        event.optional(",\"cached_input_tokens\":", count: cached_input_tokens)
        event.optional(",\"reasoning_tokens\":", count: reasoning_tokens)
        event.optional(",\"time_to_first_chunk_seconds\":", atLeastZero: time_to_first_chunk_seconds)
        event.optional(",\"finish_reason\":", name: finish_reason)
        event.optional(",\"cost_usd\":", cost_usd)
        event.line.blankComma(at: start)
        event.line.append("}")
    }
}
