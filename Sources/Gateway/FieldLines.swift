/// What the field lines of a head say about the message and the connection.
struct FieldFacts {
    /// `Content-Length` in bytes.
    var contentLength: Int?
    /// `Transfer-Encoding: chunked`.
    var isChunked = false
    /// Where the value of `Host` lies in the input.
    var host: Range<Int>?
    /// `Connection: close`.
    var saysClose = false
    /// `Connection: keep-alive`.
    var saysKeepAlive = false
    /// `Connection: upgrade` and an `Upgrade` beside `h2c`, which may be ignored (RFC 9110 §7.8).
    var wantsUpgrade: Bool { namesUpgrade && hasUpgrade }
    /// `Expect: 100-continue`.
    var expectsContinue = false

    fileprivate var namesUpgrade = false
    fileprivate var hasUpgrade = false
    fileprivate var fields = 0
    /// Values of `Connection` that name fields to take out.
    fileprivate var naming: [Range<Int>] = []
}

/// Reads the field lines of a head strictly and copies those that go on (RFC 9110 §7.6.1, RFC 9112 §5 and §6).
///
/// Refused: a bare CR or LF, NUL and other control bytes, a space before the colon, folded lines, a repeated or signed
/// `Content-Length`, any `Transfer-Encoding` but one `chunked`, `Host` twice. Left out: hop-by-hop fields, those that
/// `Connection` names, everything that only the gateway may say, and names with `_`, which WSGI cannot tell from `-`.
struct FieldLines {
    /// Who sent the head.
    enum Sender { case client, upstream }
    /// How many `Connection` fields may name others.
    static let maximumNamingFields = 4

    let sender: Sender
    let maximumFields: Int
    /// An answer that cannot have a body must not announce one.
    var dropsLength = false
    /// A client of HTTP/1.0 does not understand chunks.
    var dropsEncoding = false

    /// Copies from `start` on; the index behind the blank line, or nil when the head is not complete.
    func copy(
        _ input: Span<UInt8>, from start: Int, into output: inout HeadOutput, facts: inout FieldFacts
    ) throws(Refusal) -> Int? {
        let copied = output.count
        var cursor = start
        var run = start
        while true {
            guard cursor + 1 < input.count else { return nil }
            if input[cursor] == 13 {
                guard input[cursor + 1] == 10 else { throw .malformedField }
                break
            }
            let line = cursor
            while cursor < input.count, ByteClass.isToken(input[cursor]) { cursor += 1 }
            guard cursor < input.count else { return nil }
            guard input[cursor] == 58, cursor > line else { throw .malformedField }
            let name = line..<cursor
            cursor += 1
            let value = cursor
            while cursor < input.count, ByteClass.isFieldValue(input[cursor]) { cursor += 1 }
            guard cursor + 1 < input.count else {
                if cursor < input.count, input[cursor] != 13 { throw .malformedField }
                return nil
            }
            guard input[cursor] == 13, input[cursor + 1] == 10 else { throw .malformedField }
            facts.fields += 1
            guard facts.fields <= maximumFields else { throw .tooManyFields }
            let keeps = try take(input, name, input.trimmed(value..<cursor), &facts)
            cursor += 2
            if !keeps {
                output.append(input, run..<line)
                run = cursor
            }
        }
        output.append(input, run..<cursor)
        if !facts.naming.isEmpty { Self.removeNamed(input, facts.naming, from: copied, in: &output) }
        return cursor + 2
    }

    /// Learns from one field; false when it is not passed on.
    @inline(__always) private func take(
        _ input: Span<UInt8>, _ name: Range<Int>, _ value: Range<Int>, _ facts: inout FieldFacts
    ) throws(Refusal) -> Bool {
        switch name.count {
        case 2: return !input.matches(name, "te")
        case 4:
            if sender == .client, input.matches(name, "host") {
                guard facts.host == nil else { throw .missingHost }
                guard !value.isEmpty else { throw .malformedHost }
                for index in value where !ByteClass.isHost(input[index]) { throw .malformedHost }
                facts.host = value
            }
        case 6:
            if sender == .client, input.matches(name, "expect") {
                guard input.matches(value, "100-continue") else { throw .expectation }
                facts.expectsContinue = true
                return false
            }
        case 7:
            if input.matches(name, "upgrade") {
                if !input.matches(value, "h2c") { facts.hasUpgrade = true }
                return false
            }
            if input.matches(name, "trailer") { return false }
        case 9: if sender == .client, input.matches(name, "forwarded") { return false }
        case 10:
            if input.matches(name, "connection") {
                try takeConnection(input, value, &facts)
                return false
            }
            if input.matches(name, "keep-alive") { return false }
        case 14:
            if input.matches(name, "content-length") {
                guard facts.contentLength == nil else { throw .malformedLength }
                facts.contentLength = try Self.length(input, value)
                return !dropsLength
            }
        case 15: if sender == .client, input.matches(name, "x-forwarded-for") { return false }
        case 16:
            if input.matches(name, "proxy-connection") || input.matches(name, "x-berth-revision") { return false }
            if sender == .client, input.matches(name, "x-forwarded-host") { return false }
        case 17:
            if input.matches(name, "transfer-encoding") {
                guard !facts.isChunked else { throw .malformedLength }
                guard input.matches(value, "chunked") else { throw .unsupportedEncoding }
                facts.isChunked = true
                return !dropsEncoding && !dropsLength
            }
            if sender == .client, input.matches(name, "x-forwarded-proto") { return false }
        case 18: if input.matches(name, "proxy-authenticate") { return false }
        case 19: if input.matches(name, "proxy-authorization") { return false }
        default: break
        }
        guard sender == .client else { return true }
        for index in name where input[index] == 95 { return false }
        return true
    }

    private func takeConnection(
        _ input: Span<UInt8>, _ value: Range<Int>, _ facts: inout FieldFacts
    ) throws(Refusal) {
        var names = false
        var start = value.lowerBound
        while start < value.upperBound {
            var end = start
            while end < value.upperBound, input[end] != 44 { end += 1 }
            let option = input.trimmed(start..<end)
            if input.matches(option, "close") {
                facts.saysClose = true
            } else if input.matches(option, "keep-alive") {
                facts.saysKeepAlive = true
            } else if input.matches(option, "upgrade") {
                facts.namesUpgrade = true
            } else if input.matches(option, "host") || input.matches(option, "content-length")
                || input.matches(option, "transfer-encoding") || input.matches(option, "content-type")
            {
                throw .protectedFieldNamed
            } else if !option.isEmpty {
                names = true
            }
            start = end + 1
        }
        guard names else { return }
        guard facts.naming.count < Self.maximumNamingFields else { throw .tooManyFields }
        facts.naming.append(value)
    }

    private static func length(_ input: Span<UInt8>, _ value: Range<Int>) throws(Refusal) -> Int {
        // 18 digits always fit.
        guard !value.isEmpty, value.count <= 18 else { throw .malformedLength }
        var result = 0
        for index in value {
            let byte = input[index]
            guard byte >= 48, byte <= 57 else { throw .malformedLength }
            result = result * 10 + Int(byte - 48)
        }
        return result
    }

    private static func removeNamed(
        _ input: Span<UInt8>, _ values: [Range<Int>], from start: Int, in output: inout HeadOutput
    ) {
        var names: [[UInt8]] = []
        for value in values {
            var current: [UInt8] = []
            for index in value {
                switch input[index] {
                case 44:
                    names.append(current)
                    current = []
                case 32, 9: continue
                default: current.append(ByteClass.lower(input[index]))
                }
            }
            names.append(current)
        }
        output.removeLines(from: start) { line in
            names.contains { $0.elementsEqual(line.lazy.map(ByteClass.lower)) }
        }
    }
}
