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

    private init(descriptor: Int32, length: Int, connection: Connection) {
        self.descriptor = descriptor
        self.connection = connection
        left = length
    }

    deinit { close(descriptor) }

    static func answer(_ head: RequestHead, agent: Agent, on connection: Connection) {
        let path: String
        do {
            path = try PathResolver(options: agent.options).resolve(head.query["path"] ?? "")
        } catch {
            return connection.fail(status: 400, message: error.message)
        }
        let descriptor = berth_open_read(path)
        guard descriptor >= 0 else { return connection.failFile(-descriptor, path) }
        guard let status = FileStatus(descriptor: descriptor), status.isRegular else {
            close(descriptor)
            return connection.fail(status: 400, message: "'\(path)' is no file")
        }
        let headers = [
            ("Content-Type", "application/octet-stream"), ("Vary", "Accept-Encoding"),
            ("Content-Disposition", "inline; filename=\"\(quoted(PathResolver.name(path)))\""),
        ]
        guard status.size > 0 else { return answerUnsized(descriptor, headers, on: connection) }
        begin(descriptor, size: Int(status.size), range: head["range"], headers, on: connection)
    }

    private static func answerUnsized(_ descriptor: Int32, _ headers: [(String, String)], on connection: Connection) {
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        while bytes.count < unsizedLimit, let part = readAvailable(descriptor, limit: partLimit), !part.isEmpty {
            bytes += part
        }
        connection.respond(status: 200, headers: headers, body: bytes)
    }

    private static func begin(
        _ descriptor: Int32, size: Int, range text: String?, _ headers: [(String, String)], on connection: Connection
    ) {
        var headers = headers + [("Accept-Ranges", "bytes")]
        guard let range = range(text, size: size) else {
            close(descriptor)
            return connection.respond(status: 416, headers: [("Content-Range", "bytes */\(size)")])
        }
        lseek(descriptor, off_t(range.lowerBound), SEEK_SET)
        let isPart = range.count < size
        if isPart { headers.append(("Content-Range", "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(size)")) }
        let download = FileDownload(descriptor: descriptor, length: range.count, connection: connection)
        // The connection keeps the download as long as it sends it.
        connection.whenDrained = { download.fill() }
        connection.begin(status: isPart ? 206 : 200, headers: headers, length: range.count)
        if connection.whenDrained != nil { download.fill() }
    }

    private func fill() {
        guard left > 0 else { return }
        guard let part = readAvailable(descriptor, limit: min(left, Self.partLimit)), !part.isEmpty else {
            // The file has shrunk; its promised length can only be broken by breaking the connection.
            return connection.close()
        }
        left -= part.count
        connection.send(part)
        if left == 0 { connection.finish() }
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
