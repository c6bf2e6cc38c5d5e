/// A request target in origin form, split and checked before any routing.
///
/// Refused rather than normalised: dot segments, empty segments, backslashes, and encoded forms of `.`, `/`, `\`, `%`
/// and control bytes, for two parsers rarely agree on what they mean.
struct RequestTarget: Equatable {
    /// The longest target in bytes; beyond it the answer is 414.
    static let maximumLength = 8 * 1024

    /// The first path segment: the deployment's name.
    var name = 0..<0
    /// The second path segment; empty when there is none.
    var action = 0..<0
    /// Whether anything, be it a slash, follows the second segment.
    var hasMore = false
    /// The query with its `?`; empty when there is none.
    var query = 0..<0

    /// Checks and splits the target that lies in `range`.
    static func parse(_ input: Span<UInt8>, _ range: Range<Int>) throws(Refusal) -> RequestTarget {
        guard range.count <= maximumLength else { throw .targetTooLong }
        guard !range.isEmpty, input[range.lowerBound] == 47 else { throw .malformedTarget }
        var result = RequestTarget()
        var segments = 0
        var start = range.lowerBound + 1
        var cursor = start
        while true {
            let atEnd = cursor == range.upperBound || input[cursor] == 63
            if atEnd || input[cursor] == 47 {
                let segment = start..<cursor
                if segment.isEmpty, !atEnd { throw .unsafePath }
                try check(input, segment)
                switch segments {
                case 0: result.name = segment
                case 1: result.action = segment
                default: result.hasMore = true
                }
                segments += 1
                if atEnd { break }
                start = cursor + 1
            }
            cursor += 1
        }
        result.query = cursor..<range.upperBound
        for index in result.query where input[index] == 35 { throw .malformedTarget }
        return result
    }

    private static func check(_ input: Span<UInt8>, _ segment: Range<Int>) throws(Refusal) {
        var dots = 0
        var onlyDots = true
        var index = segment.lowerBound
        while index < segment.upperBound {
            switch input[index] {
            case 46: dots += 1
            // Some servers cut path parameters off before they resolve dot segments.
            case 59:
                if onlyDots, dots > 0 { throw .unsafePath }
                onlyDots = false
            case 92: throw .unsafePath
            case 35: throw .malformedTarget
            case 37:
                guard index + 2 < segment.upperBound, let high = ByteClass.hexadecimal(input[index + 1]),
                    let low = ByteClass.hexadecimal(input[index + 2])
                else { throw .unsafePath }
                let byte = high << 4 | low
                if byte < 32 || byte == 127 || [46, 47, 92, 37].contains(byte) { throw .unsafePath }
                onlyDots = false
            default: onlyDots = false
            }
            index += 1
        }
        if onlyDots, dots == 1 || dots == 2 { throw .unsafePath }
    }
}

/// What a client can ask of a deployment.
enum RouteAction: UInt8, CaseIterable {
    case predict, health, info

    /// The action that the path's second segment names.
    init?(_ input: Span<UInt8>, _ target: RequestTarget) {
        guard !target.hasMore else { return nil }
        if input.equals(target.action, "predict") {
            self = .predict
        } else if input.equals(target.action, "health") {
            self = .health
        } else if input.equals(target.action, "info") {
            self = .info
        } else {
            return nil
        }
    }
}
