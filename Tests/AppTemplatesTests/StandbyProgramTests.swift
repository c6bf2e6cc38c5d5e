import Foundation
import Testing

/// `templates/standby/standby.py` with the real interpreter.
@Suite(.enabled(if: program("python3") != nil, missing("python3"))) struct StandbyProgramTests {
    /// Runs the program with one role on its standard input; gives its exit code and what it printed.
    private func become(
        _ script: String, names: String, more: [String] = [], files: [String: String] = [:], role: Bool = true
    ) async throws -> (code: Int32, output: String) {
        let folder = FileManager.default.temporaryDirectory.appending(path: "standby-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let app = folder.appending(path: "app")
        try FileManager.default.createDirectory(at: app, withIntermediateDirectories: true)
        for (path, text) in files.merging(["main.py": script], uniquingKeysWith: { $1 }) {
            try text.write(to: app.appending(path: path), atomically: true, encoding: .utf8)
        }
        try names.write(to: folder.appending(path: "names"), atomically: true, encoding: .utf8)
        try "weights".write(to: folder.appending(path: "model"), atomically: true, encoding: .utf8)
        let program = repository.appending(path: "templates/standby/standby.py").path(percentEncoded: false)
        let place = app.path(percentEncoded: false)
        let message = """
            {"command": ["main.py", "--flag"], "folder": "\(place)", "environment": {"WHO": "app"}, \
            "links": {"\(place)/model/net.bin": "\(folder.path(percentEncoded: false))/model"}}

            """
        let imports = more.map { $0.isEmpty ? "{\"imports\": []}\n" : "{\"imports\": [\"\($0)\"]}\n" }.joined()
        try (imports + (role ? message : "")).write(
            to: folder.appending(path: "role"), atomically: true, encoding: .utf8)
        return try await run(
            "sh", ["-c", "exec python3 '\(program)' names < role"], in: folder.path(percentEncoded: false))
    }

    @Test func appRunsAsItWouldHaveByItself() async throws {
        let script = """
            import os, sys
            print(__name__, sys.argv, os.getcwd() == os.path.dirname(os.path.abspath(__file__)), os.environ["WHO"])
            print(open("model/net.bin").read(), sys.path[0] == os.getcwd(), sys.stdin.read() == "", __spec__)
            import pickle
            class Local: pass
            print(type(pickle.loads(pickle.dumps(Local()))) is Local)
            """
        let (code, output) = try await become("__spec__ = None\n" + script, names: "json\nno.such\nxml.dom\n")
        #expect(code == 0, "\(output)")
        let lines = output.split(separator: "\n").map(String.init)
        #expect(lines.first == #"{"berth_standby": 2, "threads": 1}"#)
        #expect(lines.dropFirst().first == "__main__ ['main.py', '--flag'] True app")
        #expect(lines.dropFirst(2).first == "weights True True None")
        #expect(lines.last == "True")
    }

    @Test func moreIsImportedAsItIsNamed() async throws {
        let script = "import sys\nprint([name in sys.modules for name in ('wave', 'colorsys', 'xml.dom')])"
        let (code, output) = try await become(script, names: "", more: ["wave", "", "no.such", "colorsys"])
        #expect(code == 0, "\(output)")
        let answers = [0, 1, 0, 1].map { "{\"berth_standby\": \($0), \"threads\": 1}\n" }.joined()
        #expect(output == "\(answers)[True, True, False]\n")
    }

    @Test func ownModulesComeBeforeThoseThatWereImported() async throws {
        let (code, output) = try await become(
            "import tomllib, tomllib.extra\nprint(tomllib.WHOSE)", names: "tomllib\ntomllib._parser\n",
            files: ["tomllib.py": "WHOSE = 'ours'\n__path__ = [__import__('os').getcwd()]", "extra.py": ""])
        #expect(code == 0, "\(output)")
        #expect(output.hasSuffix("ours\n"))
    }

    @Test func tracebackBeginsInTheApp() async throws {
        let (code, output) = try await become("def f():\n    return 1 / 0\nf()", names: "")
        #expect(code == 1)
        #expect(output.contains("ZeroDivisionError"))
        #expect(output.contains("main.py\", line 3"))
        #expect(!output.contains("standby.py"), "\(output)")
    }

    @Test func standbyWithoutAnAppEndsWell() async throws {
        #expect(try await become("raise SystemExit(9)", names: "json", role: false).code == 0)
    }

    @Test(.enabled(if: program("ruff") != nil, missing("ruff"))) func programIsClean() async throws {
        let folder = repository.appending(path: "templates/standby").path(percentEncoded: false)
        let rules = ["--select", "E,F,I,B,UP,SIM", "--isolated", "--no-cache", "--line-length", "120"]
        let check = try await run("ruff", ["check", "-q"] + rules + ["standby.py"], in: folder)
        #expect(check.code == 0, "\(check.output)")
        let format = try await run(
            "ruff", ["format", "-q", "--diff", "--isolated", "--no-cache", "--line-length", "120", "standby.py"],
            in: folder)
        #expect(format.code == 0, "\(format.output)")
    }
}
