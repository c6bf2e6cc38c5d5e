import Glibc

/// Dates as HTTP writes them (RFC 9110, 5.6.7).
enum HTTPDate {
    private static let lengthLimit = 64

    static func text(_ seconds: Int64) -> String {
        var time = time_t(seconds)
        var parts = tm()
        guard gmtime_r(&time, &parts) != nil else { return "Thu, 01 Jan 1970 00:00:00 GMT" }
        let bytes = [UInt8](unsafeUninitializedCapacity: lengthLimit) { buffer, count in
            count = buffer.withMemoryRebound(to: CChar.self) { text in
                text.baseAddress.map { strftime($0, text.count, "%a, %d %b %Y %H:%M:%S GMT", &parts) } ?? 0
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
