import Foundation
import Testing

@testable import Environments

/// A wheel made on the spot.
struct Wheel: Sendable {
    var path: String
    var sha256: String

    static func write(named name: String, in folder: String, files: [String: String]) async throws -> Wheel {
        var content = files
        let info = "\(name)-1.0.dist-info"
        content["\(info)/METADATA"] = "Metadata-Version: 2.1\nName: \(name)\nVersion: 1.0\n"
        content["\(info)/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        content["\(info)/RECORD"] = (content.keys.sorted() + ["\(info)/RECORD"]).map { "\($0),,\n" }.joined()
        let path = "\(folder)/\(name)-1.0-py3-none-any.whl"
        let script = """
            import json, sys, zipfile, hashlib
            with zipfile.ZipFile(sys.argv[1], 'w') as archive:
                for name, text in sorted(json.loads(sys.argv[2]).items()): archive.writestr(name, text)
            print(hashlib.sha256(open(sys.argv[1], 'rb').read()).hexdigest())
            """
        let json = String(decoding: try JSONEncoder().encode(content), as: UTF8.self)
        let uv = try #require(Machine.uv)
        let interpreter = try await uv.interpreter()
        let result = try await Program(
            executable: interpreter.path, arguments: ["-I", "-c", script, path, json], environment: [:], folder: "/",
            timeout: .seconds(60)
        ).run()
        try #require(result.isSuccess, "\(result.errors)")
        return Wheel(path: path, sha256: result.output.trimmingCharacters(in: .whitespacesAndNewlines))
    }
}
