/// What `sudo` asks the agent for.
///
/// It is sent as texts that each end with a zero byte, behind their length as 4 bytes, big-endian. Standard input,
/// output and error and the working directory come beside the first byte, as descriptors.
struct SudoRequest: Equatable {
    /// The name of the agent's socket, which has no file.
    static let socket = "berth-sudo"
    /// The longest request, in bytes.
    static let limit = 1 << 20
    /// Descriptors of a request: the three standard ones, and the working directory.
    static let descriptorCount = 4

    /// Whom to act as.
    var user = "root"
    /// Whether standard input becomes the terminal of the new session.
    var hasTerminal = false
    /// Whether it begins in the user's home instead of the folder that is passed.
    var startsAtHome = false
    /// Whether `HOME` is the user's.
    var setsHome = true
    /// The program and its arguments.
    var command: [String]
    /// `NAME=VALUE`, the later one counts.
    var variables: [String]

    /// The form in which it is sent.
    var bytes: [UInt8] {
        let flags = [hasTerminal ? "t" : "", startsAtHome ? "h" : "", setsHome ? "s" : ""].joined()
        let texts = [user, flags, "\(command.count)"] + command + variables
        let body = texts.flatMap { text -> [UInt8] in Array(text.utf8) + [0] }
        return Self.number(body.count) + body
    }

    init(command: [String], variables: [String] = []) {
        self.command = command
        self.variables = variables
    }

    /// Reads what comes behind the length; nil for what `sudo` does not send.
    init?(_ body: ArraySlice<UInt8>) {
        guard body.last == 0, let text = String(validating: body, as: UTF8.self) else { return nil }
        let texts = text.utf8.dropLast().split(separator: 0, omittingEmptySubsequences: false).map {
            String(Substring($0))
        }
        guard texts.count > 3, let count = Int(texts[2]), count > 0, count <= texts.count - 3, !texts[3].isEmpty else {
            return nil
        }
        user = texts[0]
        hasTerminal = texts[1].contains("t")
        startsAtHome = texts[1].contains("h")
        setsHome = texts[1].contains("s")
        command = Array(texts[3..<(3 + count)])
        variables = Array(texts[(3 + count)...])
        guard variables.allSatisfy({ $0.contains("=") && !$0.hasPrefix("=") }) else { return nil }
    }

    /// 4 bytes, big-endian.
    static func number(_ value: Int) -> [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) } }

    /// The number in the first 4 bytes; nil when there are fewer.
    static func number(_ bytes: ArraySlice<UInt8>) -> Int? {
        bytes.count < 4 ? nil : bytes.prefix(4).reduce(0) { $0 << 8 | Int($1) }
    }
}

/// What the agent answers: a letter and a number of 4 bytes, and for `refused` so many bytes of text.
enum SudoAnswer: Equatable {
    case exited(Int)
    case signalled(Int)
    case refused(String)

    var bytes: [UInt8] {
        switch self {
        case .exited(let code): [UInt8(ascii: "E")] + SudoRequest.number(code)
        case .signalled(let signal): [UInt8(ascii: "S")] + SudoRequest.number(signal)
        case .refused(let text): [UInt8(ascii: "R")] + SudoRequest.number(text.utf8.count) + Array(text.utf8)
        }
    }

    /// nil as long as it is not whole.
    init?(_ bytes: [UInt8]) {
        guard let letter = bytes.first, let number = SudoRequest.number(bytes.dropFirst()) else { return nil }
        switch letter {
        case UInt8(ascii: "E"): self = .exited(number)
        case UInt8(ascii: "S"): self = .signalled(number)
        default:
            guard bytes.count - 5 >= number else { return nil }
            self = .refused(String(decoding: bytes[5...].prefix(number), as: UTF8.self))
        }
    }
}
