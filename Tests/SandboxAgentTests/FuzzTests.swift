import DeploymentCore
import Foundation
import Glibc
import Testing

/// Nothing that a peer sends ends the agent: what comes is random, and the same in every run.
@Suite struct FuzzTests {
    /// SplitMix64 (https://prng.di.unimi.it/splitmix64.c).
    private struct Generator: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }

    private static let methods = [
        "process.Process/List", "process.Process/Start", "process.Process/Connect", "process.Process/Update",
        "process.Process/SendInput", "process.Process/StreamInput", "process.Process/SendSignal",
        "process.Process/CloseStdin", "filesystem.Filesystem/Stat", "filesystem.Filesystem/MakeDir",
        "filesystem.Filesystem/Move", "filesystem.Filesystem/ListDir", "filesystem.Filesystem/WatchDir",
        "filesystem.Filesystem/CreateWatcher", "filesystem.Filesystem/GetWatcherEvents",
        "filesystem.Filesystem/RemoveWatcher",
    ]
    private static let fields = [
        "process", "pid", "tag", "cmd", "args", "envs", "cwd", "pty", "size", "cols", "rows", "stdin", "input",
        "signal",
        "path", "source", "destination", "depth", "recursive", "watcherId", "start", "data", "keepalive", "event",
        "includeEntry", "envVars", "timestamp", "source_paths",
    ]
    /// None of them leads out of the agent's folder.
    private static let words = [
        "", "w", "~", "\u{0}", "SIGNAL_SIGTERM", "eA==", "cat", "a/b", "true", "-1", "é\n",
    ]

    private static func value(_ depth: Int, _ random: inout Generator) -> JSONValue {
        switch Int.random(in: 0..<(depth > 4 ? 6 : 9), using: &random) {
        case 0: return .null
        case 1: return .bool(.random(using: &random))
        case 2: return .integer(Int64.random(in: -3...70_000, using: &random))
        case 3: return .integer(Int64(bitPattern: random.next()))
        case 4: return .double(1e300)
        case 5: return .string(words.randomElement(using: &random) ?? "")
        case 6: return .array((0..<3).map { _ in value(depth + 1, &random) })
        default:
            var members: [String: JSONValue] = [:]
            for _ in 0..<5 { members[fields.randomElement(using: &random) ?? ""] = value(depth + 1, &random) }
            return .object(members)
        }
    }

    @Test(arguments: [1, 2, 3]) func randomMessagesAreAnswered(_ seed: UInt64) async throws {
        try await withAgent(["--grace", "100"]) { agent in
            var random = Generator(state: seed)
            for _ in 0..<400 {
                let connection = try agent.connect()
                let method = Self.methods.randomElement(using: &random) ?? ""
                let isStream = ["Start", "Connect", "StreamInput", "WatchDir"].contains { method.hasSuffix($0) }
                let message = Self.value(0, &random)
                let type = isStream ? "application/connect+json" : "application/json"
                let body = isStream ? TestConnection.frame(message) : Data(message.encoded())
                try connection.sendRequest("POST", "/\(method)", ["Content-Type": type], body: body)
                let response = try connection.readHead()
                #expect((200..<600).contains(response.status))
                #expect(isStream ? response.status == 200 : response.status != 500)
            }
        }
    }

    @Test(arguments: [4, 5]) func damagedRequestsDoNoHarm(_ seed: UInt64) async throws {
        try await withAgent(["--grace", "100"]) { agent in
            var random = Generator(state: seed)
            let frame = TestConnection.frame(["process": ["cmd": "true"], "pty": ["size": ["cols": 8, "rows": 2]]])
            let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nx\r\n--b--\r\n"
            let samples: [Data] = [
                Data("POST /process.Process/Start HTTP/1.1\r\nContent-Type: application/connect+json\r\n".utf8)
                    + Data("Content-Length: \(frame.count)\r\n\r\n".utf8) + frame,
                Data("POST /files HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\n".utf8)
                    + Data("Content-Length: \(form.utf8.count)\r\n\r\n\(form)".utf8),
                Data("GET /files?path=f HTTP/1.1\r\nRange: bytes=0-1\r\nAccept-Encoding: gzip;q=1\r\n\r\n".utf8),
                Data("POST /files?path=g HTTP/1.1\r\nContent-Type: application/octet-stream\r\n".utf8)
                    + Data("Transfer-Encoding: chunked\r\nX-Metadata-a: b\r\n\r\n3\r\nabc\r\n0\r\n\r\n".utf8),
                Data("POST /init HTTP/1.1\r\nContent-Length: 26\r\n\r\n{\"timestamp\":\"2026-01-01\"}".utf8),
                Data("CONNECT unix:/none\nCONNECT 1\n".utf8),
            ]
            for _ in 0..<1500 {
                var bytes = samples.randomElement(using: &random) ?? Data()
                for _ in 0..<Int.random(in: 1...6, using: &random) {
                    let place = Int.random(in: 0..<bytes.count, using: &random)
                    // Without new slashes, which could lead out of the agent's folder.
                    let drawn = UInt8.random(in: 0...255, using: &random)
                    let byte = drawn == UInt8(ascii: "/") ? UInt8(ascii: "x") : drawn
                    switch Int.random(in: 0..<3, using: &random) {
                    case 0: bytes[place] = byte
                    case 1: bytes.insert(byte, at: place)
                    default: if bytes.count > 1 { bytes.remove(at: place) }
                    }
                }
                let connection = try agent.connect()
                // What it has heard enough of, it may hang up on.
                try? connection.send(bytes)
                shutdown(connection.descriptor, Int32(SHUT_WR))
                while let part = try? connection.receive(), !part.isEmpty {}
            }
            #expect(try agent.residentMemory() < 64 << 20)
        }
    }
}
