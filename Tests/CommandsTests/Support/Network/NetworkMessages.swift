import Foundation

/// A request on its way through, and what it is called.
struct NetworkRequest {
    /// The longest that is passed on, in bytes.
    static let limit = 64 << 20

    /// Head and body, as they came.
    let bytes: [UInt8]
    let method: String
    /// `POST /v2/sandboxes`, `DELETE /sandboxes/{id}`, `49999 GET /health`, `POST /process.Process/Start app`.
    let name: String

    /// The part that arrives of one that is cut: at least half a head.
    var half: [UInt8] { Array(bytes.prefix(max(1, bytes.count / 2))) }

    /// Nil as long as it is not whole.
    init?(_ received: [UInt8]) {
        guard let end = received.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound else { return nil }
        let lines = String(decoding: received[..<end], as: UTF8.self).components(separatedBy: "\r\n")
        let words = lines[0].split(separator: " ").map(String.init)
        guard words.count == 3 else { return nil }
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
        }
        let body = received[end...]
        let length: Int
        if fields["transfer-encoding"] == "chunked" {
            var chunks = ChunkFraming()
            chunks.take(body)
            guard chunks.isComplete else { return nil }
            length = chunks.count
        } else {
            length = fields["content-length"].flatMap { Int($0) } ?? 0
            guard body.count >= length else { return nil }
        }
        bytes = Array(received[..<(end + length)])
        method = words[0]
        name = Self.name(words[0], words[1], fields, body.prefix(length))
    }

    private static func name(
        _ method: String, _ target: String, _ fields: [String: String], _ body: ArraySlice<UInt8>
    ) -> String {
        let path = target.prefix { $0 != "?" }
        let port = fields["e2b-sandbox-port"]
        if let port, port != "49983" { return "\(port) \(method) \(path)" }
        let shown = path.replacing(/\/sandboxes\/[^\/]+/, with: "/sandboxes/{id}")
        guard shown == "/process.Process/Start",
            let tag = String(decoding: body, as: UTF8.self).firstMatch(of: /"tag":"(\w+)"/)
        else { return "\(method) \(shown)" }
        return "\(method) \(shown) \(tag.1)"
    }
}

/// Where the answer to a request ends.
struct AnswerFraming {
    private enum Part {
        case head
        case body(left: Int)
        case chunks(ChunkFraming)
        case untilEnd
        case done
    }

    private var part = Part.head
    private var pending: [UInt8] = []
    private let method: String
    /// Whether something of its body has come.
    private(set) var hasBody = false
    /// Whether its head does not tell how long it is.
    private(set) var isEndless = false

    init(_ method: String) { self.method = method }

    var isComplete: Bool { if case .done = part { true } else { false } }

    mutating func take(_ bytes: [UInt8]) {
        var rest = bytes[...]
        if case .head = part {
            pending += bytes
            guard let end = pending.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound else { return }
            let head = String(decoding: pending[..<end], as: UTF8.self)
            let left = Array(pending[end...])
            pending = []
            begin(head)
            // Behind an interim answer the real one follows.
            if case .head = part { return take(left) }
            rest = left[...]
        }
        hasBody = hasBody || !rest.isEmpty
        switch part {
        case .body(let left): part = left > rest.count ? .body(left: left - rest.count) : .done
        case .chunks(var chunks):
            chunks.take(rest)
            part = chunks.isComplete ? .done : .chunks(chunks)
        case .head, .untilEnd, .done: break
        }
    }

    private mutating func begin(_ head: String) {
        let status = head.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        let fields = head.lowercased()
        if (100..<200).contains(status) { return }
        if method == "HEAD" || status == 204 || status == 304 {
            part = .done
        } else if let length = fields.firstMatch(of: /\r\ncontent-length: *(\d+)/).flatMap({ Int($0.1) }) {
            part = length == 0 ? .done : .body(left: length)
        } else if fields.contains("\r\ntransfer-encoding: chunked") {
            isEndless = true
            part = .chunks(ChunkFraming())
        } else {
            isEndless = true
            part = .untilEnd
        }
    }
}

/// Where a body in chunks ends.
struct ChunkFraming {
    private enum Part { case size, data(left: Int), trailer, done }

    private var part = Part.size
    private var line: [UInt8] = []
    /// The bytes of it so far.
    private(set) var count = 0

    var isComplete: Bool { if case .done = part { true } else { false } }

    mutating func take(_ bytes: ArraySlice<UInt8>) {
        var rest = bytes
        while !rest.isEmpty, !isComplete {
            if case .data(let left) = part {
                let taken = min(left, rest.count)
                rest = rest.dropFirst(taken)
                count += taken
                part = left > taken ? .data(left: left - taken) : .size
                continue
            }
            let byte = rest.removeFirst()
            count += 1
            line.append(byte)
            if byte == UInt8(ascii: "\n") { endLine() }
        }
    }

    private mutating func endLine() {
        let text = String(decoding: line, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        line = []
        switch part {
        case .size:
            let size = Int(text.prefix { $0 != ";" }, radix: 16) ?? 0
            // With the line break behind it.
            part = size == 0 ? .trailer : .data(left: size + 2)
        case .trailer: if text.isEmpty { part = .done }
        case .data, .done: break
        }
    }
}
