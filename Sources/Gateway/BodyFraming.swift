/// Tells how many of the bytes at hand belong to a message's body, and which of them go on (RFC 9112 §6 and §7).
///
/// Chunk extensions and trailer fields are read strictly and left out.
struct BodyFraming {
    /// How a body ends.
    enum Kind: Equatable {
        case none
        case length(Int)
        case chunked
        case untilEnd
    }

    /// A run of bytes that is treated in one way.
    struct Piece: Equatable {
        /// Its length in bytes.
        var count: Int
        /// Whether it goes on to the other side.
        var isForwarded: Bool
    }

    /// The most bytes of chunk extensions and trailers together.
    static let maximumOverhead = 16 * 1024
    /// The most hexadecimal digits of a chunk size.
    static let maximumSizeDigits = 15

    private enum State {
        case size, extensions, sizeEnd, data, dataReturn, dataEnd, trailerStart, trailer, trailerEnd, lastEnd
    }

    /// How this body ends.
    let kind: Kind
    /// Whether the body is over.
    private(set) var isComplete: Bool
    /// The bytes of content announced so far, without chunk framing.
    private(set) var announced = 0

    private var state = State.size
    private var remaining = 0
    private var digits = 0
    private var overhead = 0
    private let unwraps: Bool
    private let maximum: Int

    /// Begins a body of at most `maximum` bytes; `unwrapping` leaves the chunk framing out.
    init(_ kind: Kind = .none, maximum: Int = .max, unwrapping: Bool = false) {
        self.kind = kind
        self.maximum = maximum
        unwraps = unwrapping
        switch kind {
        case .none: isComplete = true
        case .length(let length):
            remaining = length
            announced = length
            isComplete = length == 0
        case .chunked, .untilEnd: isComplete = false
        }
    }

    /// The next run in `input`, which is not empty; a body that is complete takes nothing.
    mutating func next(_ input: Span<UInt8>) throws(Refusal) -> Piece {
        guard !isComplete else { return Piece(count: 0, isForwarded: false) }
        switch kind {
        case .none: return Piece(count: 0, isForwarded: false)
        case .length:
            let count = min(remaining, input.count)
            remaining -= count
            isComplete = remaining == 0
            return Piece(count: count, isForwarded: true)
        case .untilEnd: return Piece(count: input.count, isForwarded: true)
        case .chunked: return try nextChunked(input)
        }
    }

    private mutating func nextChunked(_ input: Span<UInt8>) throws(Refusal) -> Piece {
        var cursor = 0
        var isForwarded = true
        while cursor < input.count, !isComplete {
            let forwards = forwards(input[cursor])
            if cursor == 0 {
                isForwarded = forwards
            } else if forwards != isForwarded {
                break
            }
            if state == .data {
                let count = min(remaining, input.count - cursor)
                remaining -= count
                cursor += count
                if remaining == 0 { state = .dataReturn }
            } else {
                try take(input[cursor])
                cursor += 1
            }
        }
        return Piece(count: cursor, isForwarded: isForwarded)
    }

    private func forwards(_ byte: UInt8) -> Bool {
        switch state {
        case .data: true
        case .size: !unwraps && byte != 59
        case .extensions, .trailerStart: !unwraps && byte == 13
        case .trailer, .trailerEnd: false
        case .sizeEnd, .dataReturn, .dataEnd, .lastEnd: !unwraps
        }
    }

    /// One byte of framing.
    private mutating func take(_ byte: UInt8) throws(Refusal) {
        switch state {
        case .size:
            if let digit = ByteClass.hexadecimal(byte) {
                digits += 1
                guard digits <= Self.maximumSizeDigits else { throw .malformedChunk }
                remaining = remaining << 4 | digit
            } else {
                guard digits > 0, byte == 13 || byte == 59 else { throw .malformedChunk }
                state = byte == 13 ? .sizeEnd : .extensions
            }
        case .extensions:
            if byte == 13 { state = .sizeEnd } else { try takeOverhead(byte) }
        case .sizeEnd:
            guard byte == 10 else { throw .malformedChunk }
            guard remaining <= maximum - announced else { throw .bodyTooLarge }
            announced += remaining
            digits = 0
            state = remaining == 0 ? .trailerStart : .data
        case .data: break
        case .dataReturn:
            guard byte == 13 else { throw .malformedChunk }
            state = .dataEnd
        case .dataEnd:
            guard byte == 10 else { throw .malformedChunk }
            state = .size
        case .trailerStart:
            if byte == 13 {
                state = .lastEnd
            } else {
                guard ByteClass.isToken(byte) else { throw .malformedChunk }
                state = .trailer
            }
        case .trailer:
            if byte == 13 { state = .trailerEnd } else { try takeOverhead(byte) }
        case .trailerEnd:
            guard byte == 10 else { throw .malformedChunk }
            state = .trailerStart
        case .lastEnd:
            guard byte == 10 else { throw .malformedChunk }
            isComplete = true
        }
    }

    private mutating func takeOverhead(_ byte: UInt8) throws(Refusal) {
        overhead += 1
        guard ByteClass.isFieldValue(byte), overhead <= Self.maximumOverhead else { throw .malformedChunk }
    }
}
