/// A client's request head, read strictly (RFC 9112 §3) and made ready for the app.
///
/// The field lines for the app land in the output behind a gap; once the route is known, `writeRequestLine` puts the
/// app's own path right in front of them, so that nothing is copied twice.
struct RequestHead {
    /// The longest path of an app's own in bytes.
    static let maximumAppPath = 1024
    /// What the output holds at most beyond twice the head: the app's path and the fields that the gateway adds.
    static let overhead = maximumAppPath + 512

    /// Whether the answer has no body whatever its fields say.
    var isHead = false
    /// Whether the client speaks HTTP/1.0.
    var isVersion10 = false
    /// Whether the client wants to go on using its connection.
    var keepsAlive = true
    /// Whether it waits for `100 Continue` before it sends the body.
    var expectsContinue = false
    /// How the body is framed.
    var framing = BodyFraming.Kind.none
    /// Where the method lies in the input.
    var method = 0..<0
    /// The parts of the target in the input.
    var target = RequestTarget()
    /// The bytes of input that the head takes.
    var length = 0
    /// Where the field lines start in the output.
    var gap = 0
    /// Where they end, with the blank line.
    var end = 0

    /// Reads a head; nil when it is not complete. `output` needs twice the input and `overhead`.
    static func parse(
        _ input: Span<UInt8>, into memory: UnsafeMutableRawBufferPointer, limits: GatewayLimits, forwarded: [UInt8]
    ) throws(Refusal) -> RequestHead? {
        do throws(Refusal) {
            if let head = try read(input, into: memory, limits: limits, forwarded: forwarded) {
                guard head.length <= limits.head else { throw .headTooLarge }
                return head
            }
        } catch {
            // A head cut off at the limit may look malformed; the limit is what matters.
            throw input.count > limits.head ? .headTooLarge : error
        }
        guard input.count <= limits.head else { throw .headTooLarge }
        return nil
    }

    private static func read(
        _ input: Span<UInt8>, into memory: UnsafeMutableRawBufferPointer, limits: GatewayLimits, forwarded: [UInt8]
    ) throws(Refusal) -> RequestHead? {
        var head = RequestHead()
        var cursor = 0
        while cursor < input.count, ByteClass.isToken(input[cursor]) { cursor += 1 }
        guard cursor < input.count else { return nil }
        guard input[cursor] == 32, cursor > 0 else { throw .malformedRequestLine }
        head.method = 0..<cursor
        let start = cursor + 1
        cursor = start
        while cursor < input.count, ByteClass.isTarget(input[cursor]) { cursor += 1 }
        guard cursor < input.count else {
            guard cursor - start <= RequestTarget.maximumLength else { throw .targetTooLong }
            return nil
        }
        guard input[cursor] == 32 else { throw .malformedRequestLine }
        head.target = try RequestTarget.parse(input, start..<cursor)
        guard input.count >= cursor + 11 else { return nil }
        try head.readVersion(input, cursor + 1)
        head.isHead = input.equals(head.method, "HEAD")
        if input.equals(head.method, "CONNECT") || input.equals(head.method, "TRACE") { throw .unsupportedMethod }

        head.gap = head.method.count + 1 + maximumAppPath + head.target.query.count + 1 + 11
        var output = HeadOutput(memory, startingAt: head.gap)
        var facts = FieldFacts()
        let lines = FieldLines(sender: .client, maximumFields: limits.fields)
        guard let length = try lines.copy(input, from: cursor + 11, into: &output, facts: &facts) else { return nil }
        head.length = length
        try head.conclude(facts)
        output.append(forwarded)
        if let host = facts.host {
            output.append("X-Forwarded-Host: ")
            output.append(input, host)
            output.append("\r\n\r\n")
        } else {
            output.append("Host: localhost\r\n\r\n")
        }
        head.end = output.count
        return head
    }

    private mutating func readVersion(_ input: Span<UInt8>, _ start: Int) throws(Refusal) {
        guard input.equals(start..<start + 5, "HTTP/"), input[start + 6] == 46, input[start + 8] == 13,
            input[start + 9] == 10
        else { throw .malformedRequestLine }
        switch (input[start + 5], input[start + 7]) {
        case (49, 49): isVersion10 = false
        case (49, 48): isVersion10 = true
        default: throw .unsupportedVersion
        }
    }

    private mutating func conclude(_ facts: FieldFacts) throws(Refusal) {
        if facts.isChunked {
            guard facts.contentLength == nil, !isVersion10 else { throw .lengthAndEncoding }
            framing = .chunked
        } else if let length = facts.contentLength {
            framing = .length(length)
        }
        guard isVersion10 || facts.host != nil else { throw .missingHost }
        guard !facts.wantsUpgrade else { throw .upgrade }
        keepsAlive = !facts.saysClose && (!isVersion10 || facts.saysKeepAlive)
        expectsContinue = facts.expectsContinue && !isVersion10
    }

    /// Puts the request line for the app's own `path` in front of the fields; the index where it starts.
    func writeRequestLine(
        _ input: Span<UInt8>, path: [UInt8], into memory: UnsafeMutableRawBufferPointer
    ) -> Int {
        precondition(path.count <= Self.maximumAppPath)
        let length = method.count + 1 + path.count + target.query.count + 11
        let start = gap - length
        var output = HeadOutput(memory, startingAt: start)
        output.append(input, method)
        output.append(" ")
        output.append(path)
        if !target.query.isEmpty, path.contains(63) {
            // The app's own path has a query already.
            output.append("&")
            output.append(input, target.query.lowerBound + 1..<target.query.upperBound)
        } else {
            output.append(input, target.query)
        }
        output.append(" HTTP/1.1\r\n")
        return start
    }
}
