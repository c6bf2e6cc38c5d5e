import BerthTestSupport
import CurlClient
import DeploymentCore
import Foundation
import Testing

@testable import Artifacts

@Suite struct DownloadTests {
    let content = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 17 &+ $0 >> 8) }

    private func withServer(
        _ answers: [[UInt8]], limit: Int64 = BlobStore.defaultLimit,
        _ body: (ScriptedServer, BlobStore, String) async throws -> Void
    ) async throws {
        let server = try ScriptedServer(answers)
        defer { server.close() }
        try await withBlobs(limit: limit) { folder, blobs in try await body(server, blobs, folder) }
    }

    private func whole(_ tag: String = "\"v1\"") -> [UInt8] {
        ScriptedServer.answer("200 OK", ["Content-Length: \(content.count)", "ETag: \(tag)"], content)
    }

    private func cut(after count: Int, _ tag: String = "ETag: \"v1\"") -> [UInt8] {
        ScriptedServer.answer("200 OK", ["Content-Length: \(content.count)", tag], Array(content[..<count]))
    }

    private func rest(from start: Int) -> [UInt8] {
        ScriptedServer.answer(
            "206 Partial Content",
            [
                "Content-Length: \(content.count - start)",
                "Content-Range: bytes \(start)-\(content.count - 1)/\(content.count)", "ETag: \"v1\"",
            ], Array(content[start...]))
    }

    @Test func aCutDownloadIsTakenUpWhereItBroke() async throws {
        try await withServer([cut(after: 40_000), rest(from: 40_000)]) { server, blobs, folder in
            let blob = try await blobs.download(server.url("/m?token=s"), sha256: sha256(content), policy: .loopback)
            #expect(blob.digest == sha256(content) && blob.size == 100_000)
            #expect(server.requests.count == 2)
            #expect(server.requests[1].contains("Range: bytes=40000-\r\n"))
            #expect(server.requests[1].contains("If-Range: \"v1\"\r\n"))
            #expect(try Data(contentsOf: URL(fileURLWithPath: blob.path)) == Data(content))
            let parts = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/blobs/downloads")
            #expect(parts.allSatisfy { !$0.hasSuffix(".part") })
        }
    }

    @Test func anotherVersionIsFetchedFromItsStart() async throws {
        try await withServer([cut(after: 40_000), whole("\"v2\"")]) { server, blobs, _ in
            let blob = try await blobs.download(server.url("/m"), policy: .loopback)
            #expect(blob.digest == sha256(content))
            #expect(server.requests[1].contains("Range: bytes=40000-"))
        }
    }

    @Test func withoutAValidatorAnUnpinnedPartIsNotContinued() async throws {
        try await withServer([cut(after: 40_000, "X: y"), whole()]) { server, blobs, _ in
            let blob = try await blobs.download(server.url("/m"), policy: .loopback)
            #expect(blob.digest == sha256(content))
            #expect(!server.requests[1].contains("Range:"))
        }
    }

    @Test func aPinnedPartWithoutValidatorThatDoesNotFitIsFetchedAgain() async throws {
        let wrong = ScriptedServer.answer(
            "206 Partial Content", ["Content-Length: 60000", "Content-Range: bytes 40000-99999/100000"],
            [UInt8](repeating: 0, count: 60_000))
        try await withServer([cut(after: 40_000, "X: y"), wrong, whole()]) { server, blobs, _ in
            let blob = try await blobs.download(server.url("/m"), sha256: sha256(content), policy: .loopback)
            #expect(blob.digest == sha256(content))
            #expect(server.requests.count == 3)
        }
    }

    @Test func theWrongContentIsRefusedAndBothDigestsAreNamed() async throws {
        try await withServer([whole()]) { server, blobs, folder in
            let pinned = String(repeating: "2", count: 64)
            let failure = try await error {
                try await blobs.download(server.url("/m?token=secret"), sha256: pinned, policy: .loopback)
            }
            #expect(failure.code == .artifact)
            #expect(failure.message.contains(pinned) && failure.message.contains(sha256(content)))
            #expect(!failure.description.contains("secret"))
        }
    }

    @Test func anUnchangedUrlIsNotFetchedAgain() async throws {
        let unchanged = ScriptedServer.answer("304 Not Modified", ["ETag: \"v1\""])
        try await withServer([whole(), unchanged]) { server, blobs, _ in
            let first = try await blobs.download(server.url("/m"), policy: .loopback)
            let second = try await blobs.download(server.url("/m"), policy: .loopback)
            #expect(first == second)
            #expect(server.requests[1].contains("If-None-Match: \"v1\""))
            let pinned = try await blobs.download(server.url("/m"), sha256: first.digest, policy: .loopback)
            #expect(pinned == first && server.requests.count == 2)
        }
    }

    @Test func theCapHoldsWithAndWithoutAnAnnouncedLength() async throws {
        let endless = ScriptedServer.answer("200 OK", ["X: y"], content)
        try await withServer([whole(), endless], limit: 50_000) { server, blobs, _ in
            for path in ["/announced", "/endless"] {
                let failure = try await error { try await blobs.download(server.url(path), policy: .loopback) }
                #expect(failure.code == .tooLarge)
            }
        }
    }

    @Test func refusalsAndForbiddenAddressesAreNamed() async throws {
        try await withServer([ScriptedServer.answer("404 Not Found", ["Content-Length: 0"])]) { server, blobs, _ in
            let missing = try await error { try await blobs.download(server.url("/m"), policy: .loopback) }
            #expect(missing.message == "\(server.url("/m")) answered 404")
            let plain = try await error { try await blobs.download(server.url("/m")) }
            #expect(plain.message.contains("is not an https:// URL"))
            let inner = try await error { try await blobs.download("https://127.0.0.1:\(server.port)/m") }
            #expect(inner.code == .unreachable)
            #expect(server.requests.count == 1)
        }
    }

    @Test func aServerThatNeverGivesAnythingEndsTheDownload() async throws {
        try await withServer([[], [], []]) { server, blobs, _ in
            let failure = try await error { try await blobs.download(server.url("/m"), policy: .loopback) }
            #expect(failure.code == .unreachable)
            #expect(server.requests.count == Download.fruitlessLimit)
        }
    }

    @Test(arguments: [true, false])
    func aSecondDownloadOfTheSameUrlTakesWhatTheFirstFetches(isPinned: Bool) async throws {
        let gate = Gate()
        let server = try ScriptedServer(
            [ScriptedServer.answer("200 OK", ["Content-Length: \(content.count)"], content)], holdingBack: gate)
        defer {
            gate.open()
            server.close()
        }
        try await withBlobs { _, blobs in
            let pinned = isPinned ? sha256(content) : nil
            let url = server.url("/m")
            let (asked, ask) = AsyncStream<Void>.makeStream()
            async let first = blobs.download(url, sha256: pinned, policy: .loopback) { _, _ in ask.yield() }
            for await _ in asked { break }
            let (waits, wait) = AsyncStream<Void>.makeStream()
            async let second = blobs.download(url, sha256: pinned, policy: .loopback) { _, _ in wait.yield() }
            let cancelled = Task { try await blobs.download(url, sha256: pinned, policy: .loopback) }
            for await _ in waits { break }
            cancelled.cancel()
            await #expect(throws: CancellationError.self) { try await cancelled.value }
            gate.open()
            let (one, other) = try await (first, second)
            #expect(one == other && one.digest == sha256(content))
            #expect(try Data(contentsOf: URL(fileURLWithPath: other.path)) == Data(content))
            #expect(server.requests.count == 1)
        }
    }

    @Test func aSecondDownloadAsksItselfWhenTheFirstGaveUp() async throws {
        let gate = Gate()
        let server = try ScriptedServer([whole(), whole("\"v2\"")], holdingBack: gate)
        defer {
            gate.open()
            server.close()
        }
        try await withBlobs { _, blobs in
            let (asked, ask) = AsyncStream<Void>.makeStream()
            let url = server.url("/m")
            let first = Task { try await blobs.download(url, policy: .loopback) { _, _ in ask.yield() } }
            for await _ in asked { break }
            let (waits, wait) = AsyncStream<Void>.makeStream()
            async let second = blobs.download(url, policy: .loopback) { _, _ in wait.yield() }
            for await _ in waits { break }
            first.cancel()
            _ = try? await first.value
            gate.open()
            let taken = try await second
            #expect(taken.digest == sha256(content))
            #expect(server.requests.count == 2)
        }
    }
}
