/// How far the body of a request reaches, so that what comes behind it goes nowhere.
struct BodyExtent: Equatable {
    private enum State: Equatable {
        case over
        /// Bytes that are left.
        case length(Int)
        case chunkSize(Int, digits: Int)
        case chunkExtension
        case chunkSizeEnd(Int)
        case chunkData(Int)
        case chunkEnd
        case chunkLineFeed
        /// A line of the trailer section; whether it is empty so far.
        case trailer(isEmpty: Bool)
        case trailerEnd(isEmpty: Bool)
    }

    /// The longest trailer section, or chunk extensions of one chunk, in bytes.
    static let lineLimit = 16 * 1024
    private static let carriageReturn: UInt8 = 13
    private static let lineFeed: UInt8 = 10

    private var state: State
    private var lineBytes = 0
    private var size = 0

    /// No body.
    static let none = BodyExtent(.over)

    private init(_ state: State) { self.state = state }

    /// What the fields say (RFC 9112 §6); anything ambiguous is refused.
    init(_ fields: [ProxyRequest.Field], isVersion10: Bool) throws(EgressProblem) {
        let lengths = fields.filter { $0.name == "content-length" }
        let encodings = fields.filter { $0.name == "transfer-encoding" }
        if let encoding = encodings.first {
            guard lengths.isEmpty, encodings.count == 1, !isVersion10,
                String(decoding: encoding.value, as: UTF8.self).lowercased() == "chunked"
            else { throw .malformed("the body's length is ambiguous") }
            self.init(.chunkSize(0, digits: 0))
            return
        }
        guard let length = lengths.first else {
            self.init(.over)
            return
        }
        guard lengths.count == 1, (1...15).contains(length.value.count),
            length.value.allSatisfy({ (0x30...0x39).contains($0) }),
            let count = Int(String(decoding: length.value, as: UTF8.self))
        else { throw .malformed("the body's length is ambiguous") }
        self.init(count == 0 ? .over : .length(count))
    }

    /// Whether the body has ended.
    var isOver: Bool { state == .over }

    /// How many of the bytes belong to the body; nil when they are no chunks.
    mutating func take(_ bytes: some RandomAccessCollection<UInt8>) -> Int? {
        var index = bytes.startIndex
        while index < bytes.endIndex, state != .over {
            switch state {
            case .length(let left), .chunkData(let left):
                let count = min(left, bytes.distance(from: index, to: bytes.endIndex))
                index = bytes.index(index, offsetBy: count)
                let isData = if case .chunkData = state { true } else { false }
                state =
                    count < left
                    ? (isData ? .chunkData(left - count) : .length(left - count)) : isData ? .chunkEnd : .over
            default:
                guard step(bytes[index]) else { return nil }
                index = bytes.index(after: index)
            }
        }
        return bytes.distance(from: bytes.startIndex, to: index)
    }

    /// Takes one byte outside of data; false when it must not come there.
    private mutating func step(_ byte: UInt8) -> Bool {
        switch state {
        case .over, .length, .chunkData: return false
        case .chunkSize(let value, let digits):
            if let digit = Self.hexadecimal(byte), digits < 8 {
                state = .chunkSize(value << 4 | digit, digits: digits + 1)
                return true
            }
            guard digits > 0 else { return false }
            size = value
            lineBytes = 0
            if byte == Self.carriageReturn { state = .chunkSizeEnd(value) } else { state = .chunkExtension }
            return byte == Self.carriageReturn || byte == UInt8(ascii: ";") || byte == UInt8(ascii: " ")
        case .chunkExtension:
            lineBytes += 1
            if byte == Self.carriageReturn { state = .chunkSizeEnd(size) }
            return byte != Self.lineFeed && lineBytes <= Self.lineLimit
        case .chunkSizeEnd(let value):
            lineBytes = 0
            state = value == 0 ? .trailer(isEmpty: true) : .chunkData(value)
            return byte == Self.lineFeed
        case .chunkEnd:
            state = .chunkLineFeed
            return byte == Self.carriageReturn
        case .chunkLineFeed:
            state = .chunkSize(0, digits: 0)
            return byte == Self.lineFeed
        case .trailer(let isEmpty):
            lineBytes += 1
            state = byte == Self.carriageReturn ? .trailerEnd(isEmpty: isEmpty) : .trailer(isEmpty: false)
            return byte != Self.lineFeed && lineBytes <= Self.lineLimit
        case .trailerEnd(let isEmpty):
            state = isEmpty ? .over : .trailer(isEmpty: true)
            return byte == Self.lineFeed
        }
    }

    private static func hexadecimal(_ byte: UInt8) -> Int? {
        switch byte {
        case 0x30...0x39: Int(byte) - 0x30
        case 0x41...0x46: Int(byte) - 0x37
        case 0x61...0x66: Int(byte) - 0x57
        default: nil
        }
    }
}
