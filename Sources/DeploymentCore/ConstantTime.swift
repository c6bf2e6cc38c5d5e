/// Comparisons of secrets.
public enum ConstantTime {
    /// Whether two texts are the same, found in a time that tells nothing of where they differ.
    public static func equals(_ given: String, _ expected: String) -> Bool {
        let given = Array(given.utf8)
        let expected = Array(expected.utf8)
        var difference = given.count ^ expected.count
        for index in expected.indices { difference |= Int((index < given.count ? given[index] : 0) ^ expected[index]) }
        return difference == 0
    }
}
