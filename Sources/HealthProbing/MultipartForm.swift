/// A `multipart/form-data` body (RFC 7578), with names escaped as browsers do.
struct MultipartForm {
    private let boundary: String
    private var bytes: [UInt8] = []

    /// Starts a form; the boundary is random, so that no content can contain it.
    init(boundary: String = Self.randomBoundary()) {
        self.boundary = boundary
    }

    /// 128 random bits.
    static func randomBoundary() -> String {
        let digits = (0..<2).map { _ in String(UInt64.random(in: 0 ... .max), radix: 16) }
        return "berth-\(digits.joined())"
    }

    /// The value of `Content-Type`.
    var contentType: String { "multipart/form-data; boundary=\(boundary)" }

    /// The whole body.
    var body: [UInt8] { bytes + "--\(boundary)--\r\n".utf8 }

    /// How many bytes there are so far.
    var count: Int { bytes.count }

    /// Appends a text.
    mutating func append(name: String, text: String) {
        begin("form-data; name=\"\(Self.escape(name))\"", type: nil)
        bytes += text.utf8
        bytes += "\r\n".utf8
    }

    /// Appends a file.
    mutating func append(name: String, fileName: String, contents: [UInt8]) {
        begin(
            "form-data; name=\"\(Self.escape(name))\"; filename=\"\(Self.escape(fileName))\"",
            type: Self.type(of: fileName))
        bytes += contents
        bytes += "\r\n".utf8
    }

    private mutating func begin(_ disposition: String, type: String?) {
        bytes += "--\(boundary)\r\nContent-Disposition: \(disposition)\r\n".utf8
        if let type { bytes += "Content-Type: \(type)\r\n".utf8 }
        bytes += "\r\n".utf8
    }

    private static func escape(_ text: String) -> String {
        text.unicodeScalars.reduce(into: "") { result, scalar in
            switch scalar {
            case "\"": result += "%22"
            case "\r": result += "%0D"
            case "\n": result += "%0A"
            default: result.unicodeScalars.append(scalar)
            }
        }
    }

    private static func type(of fileName: String) -> String {
        let types = [
            "csv": "text/csv", "gif": "image/gif", "jpeg": "image/jpeg", "jpg": "image/jpeg",
            "json": "application/json",
            "mp3": "audio/mpeg", "pdf": "application/pdf", "png": "image/png", "txt": "text/plain", "wav": "audio/wav",
            "webp": "image/webp",
        ]
        let suffix = fileName.split(separator: ".").last.map { $0.lowercased() } ?? ""
        return types[suffix] ?? "application/octet-stream"
    }
}
