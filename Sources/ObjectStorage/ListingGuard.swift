/// Notices a listing that goes round in circles: a store that ignores where to go on from, or hands out a continuation
/// token twice.
///
/// Brent's way: one remembered place, moved to the newest at every power of two. A circle of n pages is noticed within 3 n
/// pages, in constant memory.
struct ListingGuard {
    private var remembered: String?
    private var steps = 0
    private var limit = 1

    /// Takes the next place; false if the listing was there before.
    mutating func advance(to place: String) -> Bool {
        if place == remembered { return false }
        steps += 1
        if steps == limit || remembered == nil {
            remembered = place
            limit *= 2
            steps = 0
        }
        return true
    }
}
