import CurlClient
import DeploymentCore
import E2BProtocol

extension EnvdClient {
    /// Writes a file, making its folders; the path is absolute inside.
    public func write(_ bytes: [UInt8], to path: String, executable: Bool = false) async throws {
        try await upload(.bytes(bytes), to: path, executable: executable)
    }

    /// Streams the first `length` bytes of a host file into the sandbox.
    public func upload(
        _ body: HTTPRequest.Body, to path: String, executable: Bool = false, timeout: Duration = .seconds(600)
    ) async throws {
        var request = request("POST", "/files?path=\(Self.escaped(path))", timeout: timeout)
        request.headers.append(("Content-Type", "application/octet-stream"))
        // Our agent sets permissions while it writes; envd ignores this.
        if executable { request.headers.append(("X-Berth-Mode", "755")) }
        request.body = body
        let reply = try await client.send(request, limit: Self.replyLimit)
        guard reply.status == 200 else { throw Self.fileError(reply.status, reply.body, path) }
        if executable, try await stat(path).mode & 0o100 == 0 { try await makeExecutable(path) }
    }

    /// Reads a file of at most `limit` bytes.
    ///
    /// - Throws: `not_found` when it does not exist, `too_large` when it is longer.
    public func read(_ path: String, limit: Int) async throws -> [UInt8] {
        try await client.withResponse(request("GET", "/files?path=\(Self.escaped(path))")) { response in
            guard response.status != 200 else { return try await response.body.collect(limit: limit) }
            throw Self.fileError(response.status, try await response.body.collect(limit: Self.replyLimit), path)
        }
    }

    /// What a path leads to.
    ///
    /// - Throws: `not_found` when nothing is there.
    public func stat(_ path: String) async throws -> EntryInfo {
        let reply: EntryResponse = try await call(.filesystemStat, PathRequest(path: path))
        return reply.entry
    }

    /// envd has no call for permissions, so the sandbox's own `chmod` does it.
    private func makeExecutable(_ path: String) async throws {
        let process = try await start(
            ProcessSpecification(tag: "", command: ["chmod", "755", "--", path], workingDirectory: "/"))
        for try await event in process.events {
            guard case .ended(let status) = event else { continue }
            guard status == .exited(code: 0) else {
                throw BerthError(.sandbox, "\(path) cannot be made executable in the sandbox: \(status)")
            }
        }
    }

    static func fileError(_ status: Int, _ body: [UInt8], _ path: String) -> BerthError {
        let cause = ConnectError(httpStatus: status, body: body)
        if status == 507 { return BerthError(.storageFull, "the sandbox has no space left for \(path)", cause: cause) }
        return BerthError(error(cause).code, "the sandbox's agent refuses the file \(path)", cause: cause)
    }

    /// Percent-encoding of everything but RFC 3986's unreserved characters and the slash.
    static func escaped(_ path: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var text: [UInt8] = []
        for byte in path.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"), UInt8(ascii: "/"):
                text.append(byte)
            default:
                text += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
