import CPlatform
import Glibc

/// A gzip stream (RFC 1952) being written or read, by zlib.
final class Gzip {
    /// Bytes that come out at once.
    static let partLimit = 64 << 10
    /// Why a stream cannot be read or written.
    struct Malformed: Error {
        var message: String
    }

    private let stream: OpaquePointer
    /// Whether the last member read is whole and nothing follows it.
    private(set) var isWhole = false

    init(inflates: Bool) throws(Malformed) {
        guard let stream = berth_gzip_open(inflates ? 1 : 0) else {
            throw Malformed(message: "there is no memory left")
        }
        self.stream = stream
    }

    deinit { berth_gzip_close(stream) }

    /// Hands what comes out of `bytes` to `take`, in parts.
    func process(
        _ bytes: ArraySlice<UInt8>, finishes: Bool = false, _ take: (ArraySlice<UInt8>) -> Void
    ) throws(Malformed) {
        var rest = bytes
        while true {
            var taken = rest.count
            var given = Self.partLimit
            var result: Int32 = 0
            let part = [UInt8](unsafeUninitializedCapacity: Self.partLimit) { output, count in
                rest.withUnsafeBytes { input in
                    result = berth_gzip_step(
                        stream, input.baseAddress, &taken, output.baseAddress, &given, finishes ? 1 : 0)
                }
                count = given
            }
            guard result >= 0 else { throw Malformed(message: "the body is no gzip stream: \(errorText(-result))") }
            rest = rest.dropFirst(taken)
            if !part.isEmpty { take(part[...]) }
            if taken > 0 || result == 1 { isWhole = result == 1 }
            if finishes ? result == 1 : rest.isEmpty && given < Self.partLimit { return }
            guard taken > 0 || given > 0 else { throw Malformed(message: "the gzip stream does not go on") }
        }
    }

    /// A whole stream of `bytes`.
    static func compressed(_ bytes: [UInt8]) throws(Malformed) -> [UInt8] {
        var result: [UInt8] = []
        try Gzip(inflates: false).process(bytes[...], finishes: true) { result += $0 }
        return result
    }
}

/// A body that comes compressed.
final class InflatingBody: BodySink {
    private let gzip: Gzip
    private let inner: any BodySink
    private unowned let connection: Connection
    private var isRefused = false

    init(_ inner: any BodySink, connection: Connection) throws(Gzip.Malformed) {
        gzip = try Gzip(inflates: true)
        self.inner = inner
        self.connection = connection
    }

    func receive(_ bytes: ArraySlice<UInt8>) {
        guard !isRefused else { return }
        do throws(Gzip.Malformed) {
            try gzip.process(bytes) { inner.receive($0) }
        } catch {
            refuse(error.message)
        }
    }

    func complete() {
        guard !isRefused else { return }
        guard gzip.isWhole else { return refuse("the gzip stream ends too early") }
        inner.complete()
    }

    func abandon() { inner.abandon() }

    private func refuse(_ message: String) {
        isRefused = true
        inner.abandon()
        connection.fail(status: 400, message: message)
    }
}

/// How an answer's body is sent.
enum ContentCoding: Equatable {
    case identity
    case gzip

    /// What a client accepts best (RFC 9110, 12.5.3); nil when it is none that we have.
    static func accepted(_ header: String?) -> ContentCoding? {
        guard let header else { return .identity }
        var weights: [String: Double] = [:]
        for element in header.lowercased().split(separator: ",") {
            let parts = element.split(separator: ";").map { String($0).trimmed }
            guard let name = parts.first else { continue }
            let weight = parts.dropFirst().first { $0.hasPrefix("q=") }.map { Double($0.dropFirst(2)) ?? 0 }
            weights[name] = weight ?? 1
        }
        let gzip = weights["gzip"] ?? weights["x-gzip"] ?? 0
        if gzip > 0, gzip >= weights["identity"] ?? 0 { return .gzip }
        if weights["identity"] ?? (weights["*"] == 0 ? 0 : 1) > 0 { return .identity }
        return gzip > 0 || weights["*"] ?? 0 > 0 ? .gzip : nil
    }
}
