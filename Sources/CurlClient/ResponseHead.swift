/// Collects header lines as libcurl hands them over, one call for each line.
struct ResponseHead {
    /// The most bytes that status line and headers may have together.
    static let maximumBytes = 64 << 10

    private(set) var status = 0
    private(set) var headers: [(name: String, value: String)] = []
    private(set) var isComplete = false
    private var bytes = 0

    /// What a line led to.
    enum Progress {
        case unfinished, complete, tooLong
    }

    /// Takes one line. Interim answers (1xx) are dropped, trailers ignored.
    mutating func take(_ line: some Collection<UInt8>) -> Progress {
        if isComplete { return .unfinished }
        bytes += line.count
        guard bytes <= Self.maximumBytes else { return .tooLong }
        let text = String(decoding: line, as: UTF8.self).trimmed
        if text.hasPrefix("HTTP/") {
            headers = []
            status = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        } else if text.isEmpty {
            isComplete = status >= 200
            return isComplete ? .complete : .unfinished
        } else if let colon = text.firstIndex(of: ":") {
            headers.append((String(text[..<colon]), String(text[text.index(after: colon)...]).trimmed))
        }
        return .unfinished
    }
}

extension String {
    /// Without spaces, tabs and line ends around it.
    var trimmed: String {
        let isSpace = { (byte: UInt8) in byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A }
        guard let first = utf8.firstIndex(where: { !isSpace($0) }), let last = utf8.lastIndex(where: { !isSpace($0) })
        else { return "" }
        return String(decoding: utf8[first...last], as: UTF8.self)
    }
}
