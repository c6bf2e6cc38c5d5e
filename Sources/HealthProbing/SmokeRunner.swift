import CurlClient
import DeploymentCore

/// Runs the predictions whose answers the manifest knows.
public struct SmokeRunner: Sendable {
    /// The most bytes an answer may have.
    public static let maximumResponse = 16 << 20
    /// The most bytes a multipart form may have.
    public static let maximumForm = 64 << 20
    /// The most bytes of an answer that a result keeps.
    public static let maximumKept = 2 << 10

    private let client: CurlClient
    private let clock: any Clock<Duration>

    /// Creates a runner; the clock measures the answers.
    public init(client: CurlClient, clock: any Clock<Duration> = ContinuousClock()) {
        self.client = client
        self.clock = clock
    }

    /// Runs one smoke test; whatever goes wrong becomes a failure of the result.
    ///
    /// - Parameters:
    ///   - connect: makes a way to the server for this one request.
    ///   - basePath: `/<name>` when asked through the gateway, whose public paths are then used; nil asks the app itself.
    ///   - files: reads a file that the manifest names beside itself.
    public func run(
        _ test: SmokeTest, against connect: @Sendable () async throws -> Transport, basePath: String?,
        manifest: Manifest, files: @Sendable (String) async throws -> [UInt8]
    ) async -> SmokeResult {
        do {
            var request = try await request(for: test, files: files)
            let path = Self.path(of: test, basePath: basePath, manifest: manifest)
            request.url = "http://127.0.0.1:\(manifest.server.port)\(path)"
            request.timeout = max(manifest.predict.timeout, test.within ?? .zero)
            request.transport = try await connect()
            let sent = request
            var reply: Result<HTTPReply, any Error>?
            let duration = await clock.measure {
                do {
                    reply = .success(try await client.send(sent, limit: Self.maximumResponse))
                } catch {
                    reply = .failure(error)
                }
            }
            switch reply {
            case .success(let reply)?: return Self.judge(test, reply, duration)
            case .failure(let error)?: return Self.failed(test, Self.describe(error, sent), duration)
            case nil: return Self.failed(test, "there was no answer", duration)
            }
        } catch {
            return Self.failed(test, "\(error)", .zero)
        }
    }

    private static func failed(_ test: SmokeTest, _ why: String, _ duration: Duration) -> SmokeResult {
        SmokeResult(name: test.name, passed: false, duration: duration, failures: [why])
    }

    private static func describe(_ error: any Error, _ request: HTTPRequest) -> String {
        let cause = (error as? BerthError)?.cause as? CurlError
        if cause?.isTimeout == true, let timeout = request.timeout { return "no answer within \(timeout.shortText)" }
        if cause?.isReset == true { return "the connection was closed before the answer was whole" }
        if cause?.isRefused == true { return "the connection was refused" }
        return "\(error)"
    }

    /// The app's own paths, or their public counterparts at the gateway.
    static func path(of test: SmokeTest, basePath: String?, manifest: Manifest) -> String {
        let path = test.request.path ?? manifest.predict.path
        guard let basePath else { return path }
        switch path {
        case manifest.predict.path: return basePath + "/predict"
        case manifest.predict.infoPath: return basePath + "/info"
        case manifest.health.path: return basePath + "/health"
        default: return basePath + path
        }
    }

    private func request(
        for test: SmokeTest, files: @Sendable (String) async throws -> [UInt8]
    ) async throws -> HTTPRequest {
        var request = HTTPRequest(method: test.request.method, url: "")
        request.headers = test.request.headers.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
        let hasType = request.headers.contains { $0.name.lowercased() == "content-type" }
        switch test.request.body {
        case .none: break
        case .json(let value):
            request.body = .bytes(value.encoded())
            if !hasType { request.headers.append((name: "Content-Type", value: "application/json")) }
        case .form(let fields):
            let form = try await Self.form(fields, files: files)
            request.body = .bytes(form.body)
            // Only this one knows the boundary.
            request.headers.removeAll { $0.name.lowercased() == "content-type" }
            request.headers.append((name: "Content-Type", value: form.contentType))
        }
        return request
    }

    private static func form(
        _ fields: [SmokeTest.FormField], files: @Sendable (String) async throws -> [UInt8]
    ) async throws -> MultipartForm {
        var form = MultipartForm()
        for field in fields {
            switch field.value {
            case .text(let text): form.append(name: field.name, text: text)
            case .file(let path):
                let name = path.split(separator: "/").last.map(String.init) ?? path
                form.append(name: field.name, fileName: name, contents: try await files(path))
            }
            guard form.count <= maximumForm else {
                throw BerthError(.tooLarge, "the form is longer than \(maximumForm) bytes at field \(field.name)")
            }
        }
        return form
    }

    static func judge(_ test: SmokeTest, _ reply: HTTPReply, _ duration: Duration) -> SmokeResult {
        var failures: [String] = []
        if reply.status != test.status { failures.append("expected status \(test.status), got \(reply.status)") }
        if !test.expect.isEmpty {
            do {
                failures += ExpectationEvaluator.failures(of: test.expect, in: try JSONValue(parsing: reply.body))
            } catch {
                failures.append("the answer is not JSON: \(error)")
            }
        }
        if let within = test.within, duration > within {
            failures.append("expected an answer within \(within.shortText), got it after \(duration.shortText)")
        }
        return SmokeResult(
            name: test.name, passed: failures.isEmpty, duration: duration, status: reply.status, failures: failures,
            response: String(decoding: reply.body.prefix(maximumKept), as: UTF8.self))
    }
}
