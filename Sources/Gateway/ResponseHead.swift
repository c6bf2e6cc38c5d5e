/// An app's answer head, read as strictly as a client's request: the app is not trusted.
struct ResponseHead {
    /// What the output holds at most beyond the head: the fields that the gateway adds.
    static let overhead = 512

    /// The status code, 100 to 599.
    var status = 0
    /// Whether the app's connection can be used again.
    var keepsAlive = true
    /// How the body is framed.
    var framing = BodyFraming.Kind.none
    /// The bytes of input that the head takes.
    var length = 0
    /// The bytes of output written so far, without the blank line.
    var end = 0

    /// Whether a final answer is still to come.
    var isInterim: Bool { status < 200 }

    /// Reads a head; nil when it is not complete. `output` needs the input and `overhead`.
    ///
    /// - Parameters:
    ///   - isHead: whether the request was a `HEAD`.
    ///   - isVersion10: whether the client speaks HTTP/1.0 and so gets no chunks.
    static func parse(
        _ input: Span<UInt8>, into output: inout HeadOutput, isHead: Bool, isVersion10: Bool, limits: GatewayLimits
    ) throws(Refusal) -> ResponseHead? {
        // "HTTP/1.1 200" and CRLF
        guard input.count >= 14 else { return nil }
        guard input.equals(0..<7, "HTTP/1."), input[8] == 32, input[7] == 48 || input[7] == 49 else {
            throw .malformedStatusLine
        }
        let appVersion10 = input[7] == 48
        var head = ResponseHead()
        for index in 9..<12 {
            guard input[index] >= 48, input[index] <= 57 else { throw .malformedStatusLine }
            head.status = head.status * 10 + Int(input[index] - 48)
        }
        // 101 would turn the connection into something else, which was never asked for.
        guard head.status >= 100, head.status <= 599, head.status != 101 else { throw .malformedStatusLine }
        guard input[12] == 32 || input[12] == 13 else { throw .malformedStatusLine }
        var cursor = 12
        while cursor < input.count, ByteClass.isFieldValue(input[cursor]) { cursor += 1 }
        guard cursor + 1 < input.count else {
            guard input.count <= limits.head else { throw .headTooLarge }
            return nil
        }
        guard input[cursor] == 13, input[cursor + 1] == 10 else { throw .malformedStatusLine }
        output.append("HTTP/1.1")
        output.append(input, 8..<cursor + 2)
        let bodyless = head.isInterim || head.status == 204
        let lines = FieldLines(
            sender: .upstream, maximumFields: limits.fields, dropsLength: bodyless, dropsEncoding: isVersion10)
        var facts = FieldFacts()
        guard let length = try lines.copy(input, from: cursor + 2, into: &output, facts: &facts) else {
            guard input.count <= limits.head else { throw .headTooLarge }
            return nil
        }
        guard length <= limits.head else { throw .headTooLarge }
        head.length = length
        head.end = output.count
        head.keepsAlive = !facts.saysClose && (!appVersion10 || facts.saysKeepAlive)
        if facts.isChunked, facts.contentLength != nil || appVersion10 { throw .lengthAndEncoding }
        if bodyless || isHead || head.status == 304 {
            head.framing = .none
        } else if facts.isChunked {
            head.framing = .chunked
        } else if let length = facts.contentLength {
            head.framing = .length(length)
        } else {
            head.framing = .untilEnd
            head.keepsAlive = false
        }
        return head
    }
}
