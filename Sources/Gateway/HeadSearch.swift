/// Looks for the end of a head that comes in drips, so that each byte is looked at once and not with every drip.
struct HeadSearch {
    private var searched = 0

    /// Whether the blank line is in `input`, which has grown since the last call, or the head is over the limit.
    mutating func isWorthParsing(_ input: Span<UInt8>, limit: Int) -> Bool {
        var index = max(3, searched)
        while index < input.count {
            if input[index] == 10, input[index - 1] == 13, input[index - 2] == 10, input[index - 3] == 13 {
                return true
            }
            index += 1
        }
        searched = input.count
        return input.count > limit
    }
}
