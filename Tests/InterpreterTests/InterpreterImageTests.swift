import DeploymentCore
import Environments
import Foundation
import HostedSandboxes
import Sandboxes
import Testing

/// What does not need the packages.
@Suite struct InterpreterImageTests {
    private let folder = Machine.repository + "/templates/interpreter"

    private func text(_ name: String) throws -> String {
        try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)
    }

    @Test func lockHoldsWhatIsRequired() throws {
        let lock = try Lock(parsing: text("requirements.lock"))
        let pinned = Set(lock.pins.map { $0.requirement.prefix { $0 != " " } })
        let lines = try text("requirements.txt").split(separator: "\n").filter { !$0.hasPrefix("#") }
        #expect(lines.count > 5)
        for line in lines {
            #expect(pinned.contains(line.prefix { $0 != " " }), "\(line) is not in requirements.lock")
        }
    }

    @Test(.program("ruff")) func serverAndItsChecksAreClean() async throws {
        let ruff = try #require(Machine.program("ruff"))
        for folder in [folder, "\(Machine.repository)/Tests/InterpreterTests/python"] {
            let rules = ["--select", "E,F,I,B,UP,SIM", "--isolated", "--no-cache", "--line-length", "120"]
            let check = try await run(ruff, ["check", "-q"] + rules + ["."], in: folder)
            #expect(check.code == 0, "\(check.output)")
            let format = try await run(
                ruff, ["format", "-q", "--diff", "--isolated", "--no-cache", "--line-length", "120", "."], in: folder)
            #expect(format.code == 0, "\(format.output)")
        }
    }

    @Test(.program("mypy"), .realPackages) func serverIsTyped() async throws {
        let mypy = try #require(Machine.program("mypy"))
        try await withImage { image in
            let environment = try #require(image.mounts.first { $0.target == "/opt/env" })
            let options = [
                "--strict", "--ignore-missing-imports", "--allow-untyped-calls", "--cache-dir", "/dev/null",
                "--python-executable", "\(environment.source)/bin/python",
            ]
            let result = try await run(mypy, options + ["serve.py", "berth_interpreter"], in: folder)
            #expect(result.code == 0, "\(result.output)")
        }
    }
}
