import CPlatform
import E2BProtocol
import Glibc

/// `GET /files?path=…`: a file's bytes, read as the client takes them.
final class FileDownload {
    private static let partLimit = 256 << 10
    /// Bytes read at once from a file that does not tell its size, as in `/proc`.
    private static let unsizedLimit = 4 << 20
    private let descriptor: Int32
    private unowned let connection: Connection
    private var left: Int
    /// What compresses the answer, whose length is then not known beforehand.
    private let gzip: Gzip?

    private init(descriptor: Int32, length: Int, gzip: Gzip?, connection: Connection) {
        self.descriptor = descriptor
        self.connection = connection
        self.gzip = gzip
        left = length
    }

    deinit { close(descriptor) }

    static func answer(_ head: RequestHead, options: AgentOptions, on connection: Connection) {
        let path: String
        do {
            path = try PathResolver(options: options).resolve(head.query["path"] ?? "")
        } catch {
            return connection.fail(status: 400, message: error.message)
        }
        // A part is of the file as it is.
        guard let coding = head["range"] == nil ? ContentCoding.accepted(head["accept-encoding"]) : .identity else {
            return connection.fail(status: 406, message: "only gzip and identity are spoken here")
        }
        let descriptor = berth_open_read(path)
        guard descriptor >= 0 else { return connection.failFile(-descriptor, path) }
        guard let status = FileStatus(descriptor: descriptor), status.isRegular else {
            close(descriptor)
            return connection.fail(status: 400, message: "'\(path)' is no file")
        }
        let date = HTTPDate.text(status.modified.seconds)
        var headers = [
            ("Content-Type", "application/octet-stream"), ("Vary", "Accept-Encoding"), ("Last-Modified", date),
            ("Content-Disposition", "inline; filename=\"\(quoted(PathResolver.name(path)))\""),
        ]
        if coding == .gzip { headers.append(("Content-Encoding", "gzip")) }
        guard status.size > 0 else { return answerUnsized(descriptor, coding, headers, on: connection) }
        // A part of another version than the client has is of no use to it (RFC 9110, 13.1.5).
        let range = head["if-range"].map { $0 == date } ?? true ? head["range"] : nil
        begin(descriptor, size: Int(status.size), range: range, coding, headers, on: connection)
    }

    private static func answerUnsized(
        _ descriptor: Int32, _ coding: ContentCoding, _ headers: [(String, String)], on connection: Connection
    ) {
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        while bytes.count < unsizedLimit, let part = readAvailable(descriptor, limit: partLimit), !part.isEmpty {
            bytes += part
        }
        do throws(Gzip.Malformed) {
            if coding == .gzip { bytes = try Gzip.compressed(bytes) }
            connection.respond(status: 200, headers: headers, body: bytes)
        } catch {
            connection.fail(status: 500, message: error.message)
        }
    }

    private static func begin(
        _ descriptor: Int32, size: Int, range text: String?, _ coding: ContentCoding, _ headers: [(String, String)],
        on connection: Connection
    ) {
        var headers = headers
        if coding == .identity { headers.append(("Accept-Ranges", "bytes")) }
        guard let range = range(text, size: size) else {
            close(descriptor)
            return connection.respond(status: 416, headers: [("Content-Range", "bytes */\(size)")])
        }
        var gzip: Gzip?
        if coding == .gzip {
            gzip = try? Gzip(inflates: false)
            guard gzip != nil else {
                close(descriptor)
                return connection.fail(status: 500, message: "there is no memory left")
            }
        }
        lseek(descriptor, off_t(range.lowerBound), SEEK_SET)
        let isPart = range.count < size
        if isPart { headers.append(("Content-Range", "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(size)")) }
        let download = FileDownload(descriptor: descriptor, length: range.count, gzip: gzip, connection: connection)
        // The connection keeps the download as long as it sends it.
        connection.whenDrained = { download.fill() }
        connection.begin(status: isPart ? 206 : 200, headers: headers, length: gzip == nil ? range.count : nil)
        if connection.whenDrained != nil { download.fill() }
    }

    private func fill() {
        guard left > 0 else { return }
        guard let part = readAvailable(descriptor, limit: min(left, Self.partLimit)), !part.isEmpty else {
            // The file has shrunk; its promised length can only be broken by breaking the connection.
            return connection.close()
        }
        left -= part.count
        guard let gzip else {
            connection.send(part)
            if left == 0 { connection.finish() }
            return
        }
        var compressed: [UInt8] = []
        do throws(Gzip.Malformed) {
            try gzip.process(part[...], finishes: left == 0) { compressed += $0 }
        } catch {
            return connection.close()
        }
        let isLast = left == 0
        // What compresses well gives nothing to send, so that nothing would ask for more.
        if !isLast, compressed.isEmpty { return fill() }
        connection.sendChunk(compressed)
        if isLast { connection.finishChunks() }
    }

    /// The one range asked for; all of it for none, several, or what is not understood. nil when it is outside.
    private static func range(_ text: String?, size: Int) -> Range<Int>? {
        guard let text, text.hasPrefix("bytes="), !text.contains(",") else { return 0..<size }
        let parts = text.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return 0..<size }
        let first = Int(parts[0])
        let last = Int(parts[1])
        switch (first, last) {
        case (let first?, _) where first >= size || last.map({ $0 < first }) ?? false: return nil
        case (let first?, let last): return first..<min(size, last.map { $0 == Int.max ? $0 : $0 + 1 } ?? size)
        case (nil, let count?) where parts[0].isEmpty: return count == 0 ? nil : max(0, size - count)..<size
        default: return 0..<size
        }
    }

    private static func quoted(_ name: String) -> String {
        String(name.map { $0 == "\"" || $0 == "\\" || !$0.isASCII || $0.isNewline || $0 < " " ? "_" : $0 })
    }
}

extension Connection {
    /// The failure of an operation on a file.
    func failFile(_ error: Int32, _ path: String) {
        let status =
            switch error {
            case ENOENT: 404
            case EACCES, EPERM, EROFS: 403
            case ENOSPC, EDQUOT: 507
            case EISDIR, ENOTDIR, ENAMETOOLONG, ELOOP, EINVAL, ENXIO: 400
            default: 500
            }
        fail(status: status, message: "'\(path)': \(errorText(error))")
    }
}
