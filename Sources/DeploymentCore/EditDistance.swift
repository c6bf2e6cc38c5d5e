/// How far two words are apart, for guesses at what was meant.
public enum EditDistance {
    /// The longest word that is looked at, in characters: the work grows with the square of it.
    public static let maximumLength = 64

    /// How many insertions, removals, replacements and swaps of neighbours lead from one word to the other.
    ///
    /// It is the optimal string alignment distance; of longer words the beginnings are compared.
    public static func between(_ one: String, _ other: String) -> Int {
        let (a, b) = (Array(one.prefix(maximumLength)), Array(other.prefix(maximumLength)))
        guard !a.isEmpty, !b.isEmpty else { return max(a.count, b.count) }
        var before: [Int] = []
        var previous = Array(0...b.count)
        for i in 1...a.count {
            var current = [i] + Array(repeating: 0, count: b.count)
            for j in 1...b.count {
                current[j] = min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
                if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] {
                    current[j] = min(current[j], before[j - 2] + 1)
                }
            }
            before = previous
            previous = current
        }
        return previous[b.count]
    }
}
