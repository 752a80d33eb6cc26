/// A feature's numbers on the frozen edges of a reference: the edge set, and how many numbers lie in each of its bins.
///
/// Merging adds counts on the same edges; counts on different edges are ``mixed``, and stay so: associative and
/// commutative.
package struct EdgeCounts: Equatable, Sendable {
    /// The edge set of hours without a reference.
    package static let none: Int32 = 0
    /// What stands for more than one edge set.
    package static let mixed: Int32 = -1

    /// The edge set; nil where nothing was added yet.
    package private(set) var edgeSet: Int32?
    /// Numbers by bin, one more than there are edges; nil where the set has no edges for the feature.
    package private(set) var counts: [Int64]?

    /// Nothing added.
    package init() {}

    package init(edgeSet: Int32, counts: [Int64]?) {
        self.edgeSet = edgeSet
        self.counts = edgeSet > 0 ? counts : nil
    }

    /// Adds another's counts.
    package mutating func merge(_ other: EdgeCounts) {
        guard let theirs = other.edgeSet else { return }
        guard let mine = edgeSet else {
            self = other
            return
        }
        guard mine == theirs, counts == nil || other.counts == nil || counts?.count == other.counts?.count else {
            self = EdgeCounts(edgeSet: Self.mixed, counts: nil)
            return
        }
        guard let added = other.counts else { return }
        if counts == nil {
            counts = added
        } else {
            for bin in added.indices { counts?[bin] += added[bin] }
        }
    }
}
