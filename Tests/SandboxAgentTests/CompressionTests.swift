import CPlatform
import DeploymentCore
import Foundation
import Glibc
import Testing

@Suite struct CompressionTests {
    private static let gzip = ["Content-Type": "application/octet-stream", "Content-Encoding": "gzip"]

    /// Runs gzip, which shares no code with the agent, over bytes.
    private func tool(_ arguments: [String], _ input: Data) throws -> Data {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/gzip")
        process.arguments = arguments
        let file = FileManager.default.temporaryDirectory.appending(path: "berth-\(UUID().uuidString)")
        try input.write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let output = Pipe()
        process.standardInput = try FileHandle(forReadingFrom: file)
        process.standardOutput = output
        try process.run()
        let bytes = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw RunningAgent.Failure("gzip failed") }
        return bytes
    }

    private func sample(_ count: Int) -> Data {
        Data((0..<count).map { UInt8(truncatingIfNeeded: $0 % 251 * ($0 >> 10)) })
    }

    @Test(arguments: [0, 1, 1000, 5_000_000]) func compressedUploadIsStoredAsItWas(_ count: Int) async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let content = sample(count)
            // Two members after each other are one stream (RFC 1952).
            let body = try tool(["-c"], content) + tool(["-c"], Data("end".utf8))
            #expect(try connection.request("POST", "/files?path=f", Self.gzip, body: body).status == 200)
            #expect(try Data(contentsOf: URL(filePath: "\(agent.folder)/f")) == content + Data("end".utf8))
        }
    }

    @Test func downloadIsCompressedWhenAccepted() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            for count in [0, 10, 3_000_000] {
                let content = sample(count)
                try content.write(to: URL(filePath: "\(agent.folder)/f"))
                try connection.sendRequest("GET", "/files?path=f", ["Accept-Encoding": "deflate, gzip;q=0.5"])
                let response = try connection.readBody()
                #expect(response.headers["content-encoding"] == "gzip")
                #expect(try tool(["-dc"], response.body) == content)
            }
            try sample(100).write(to: URL(filePath: "\(agent.folder)/f"))
            for accepted in ["identity", "gzip;q=0", "*", "br, identity;q=0.5, gzip;q=0.1"] {
                let response = try connection.request("GET", "/files?path=f", ["Accept-Encoding": accepted])
                #expect(response.headers["content-encoding"] == nil)
                #expect(response.body == sample(100))
            }
            let none = try connection.request("GET", "/files?path=f", ["Accept-Encoding": "br, identity;q=0"])
            #expect(none.status == 406)
            let part = try connection.request(
                "GET", "/files?path=f", ["Accept-Encoding": "gzip", "Range": "bytes=0-1"])
            #expect(part.status == 206)
            #expect(part.headers["content-encoding"] == nil)
        }
    }

    @Test func brokenStreamsAreRefusedAndLeaveNoFile() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let whole = try tool(["-c"], sample(300_000))
            var changed = whole
            changed[changed.count / 2] ^= 0x55
            var checksum = whole
            checksum[checksum.count - 5] ^= 1
            for body in [Data("no gzip".utf8), whole.dropLast(9), changed, checksum, whole + Data("rest".utf8), Data()]
            {
                let response = try connection.request("POST", "/files?path=f", Self.gzip, body: Data(body))
                #expect(response.status == 400)
                #expect(access("\(agent.folder)/f", F_OK) != 0)
            }
        }
    }

    @Test func bombsOfCallsAreBounded() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let bomb = try tool(["-c", "-9"], Data(count: 200 << 20))
            let headers = ["Content-Type": "application/json", "Content-Encoding": "gzip"]
            let response = try connection.request("POST", "/process.Process/List", headers, body: bomb)
            #expect(response.status == 429)
            #expect(try agent.residentMemory() < 64 << 20)
            let small = try tool(["-c"], Data("{}".utf8))
            #expect(try connection.request("POST", "/process.Process/List", headers, body: small).status == 200)
            let stream = ["Content-Type": "application/connect+json", "Content-Encoding": "gzip"]
            #expect(try connection.request("POST", "/process.Process/Start", stream, body: small).status == 406)
        }
    }
}
