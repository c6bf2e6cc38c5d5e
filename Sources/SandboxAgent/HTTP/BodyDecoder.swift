/// Takes the body of a request out of the bytes of the connection.
struct BodyDecoder {
    private enum State {
        case fixed(left: Int)
        case chunkSize
        case chunk(left: Int)
        case chunkEnd
        case trailer
        case done
    }
    private var state: State
    private var line: [UInt8] = []
    private var trailerLength = 0
    private static let lineLimit = 4096

    init(_ length: RequestHead.BodyLength) {
        switch length {
        case .exactly(0): state = .done
        case .exactly(let count): state = .fixed(left: count)
        case .chunked: state = .chunkSize
        }
    }

    var isDone: Bool {
        if case .done = state { true } else { false }
    }

    /// Consumes bytes from the front of `input` and gives the body's among them; empty when more are needed.
    mutating func next(_ input: inout ArraySlice<UInt8>) throws(RequestHead.Malformed) -> ArraySlice<UInt8> {
        while !input.isEmpty {
            switch state {
            case .done: return []
            case .fixed(let left):
                let part = take(left, from: &input)
                state = left == part.count ? .done : .fixed(left: left - part.count)
                return part
            case .chunk(let left):
                let part = take(left, from: &input)
                state = left == part.count ? .chunkEnd : .chunk(left: left - part.count)
                return part
            case .chunkSize:
                guard let text = try takeLine(&input) else { return [] }
                let digits = text.prefix { $0 != UInt8(ascii: ";") }
                let number = String(decoding: digits, as: UTF8.self).trimmed
                guard !number.isEmpty, number.allSatisfy(\.isHexDigit), let size = Int(number, radix: 16) else {
                    throw RequestHead.Malformed("a chunk size is malformed")
                }
                state = size == 0 ? .trailer : .chunk(left: size)
            case .chunkEnd:
                guard let text = try takeLine(&input) else { return [] }
                guard text.isEmpty else { throw RequestHead.Malformed("a chunk is longer than its size") }
                state = .chunkSize
            case .trailer:
                guard let text = try takeLine(&input) else { return [] }
                trailerLength += text.count
                guard trailerLength <= Self.lineLimit else { throw RequestHead.Malformed("the trailer is too long") }
                if text.isEmpty { state = .done }
            }
        }
        return []
    }

    private func take(_ count: Int, from input: inout ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let part = input.prefix(count)
        input = input.dropFirst(part.count)
        return part
    }

    private mutating func takeLine(_ input: inout ArraySlice<UInt8>) throws(RequestHead.Malformed) -> [UInt8]? {
        while let byte = input.popFirst() {
            if byte == UInt8(ascii: "\n") {
                guard line.last == UInt8(ascii: "\r") else { throw RequestHead.Malformed("a chunk line is malformed") }
                line.removeLast()
                defer { line = [] }
                return line
            }
            line.append(byte)
            guard line.count <= Self.lineLimit else { throw RequestHead.Malformed("a chunk line is too long") }
        }
        return nil
    }
}
