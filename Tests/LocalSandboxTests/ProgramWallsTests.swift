import BerthTestSupport
import DeploymentCore
import Foundation
import Testing

@testable import LocalSandbox

/// What a program behind walls reaches of the machine that it works for.
@Suite(needsNamespaces) struct ProgramWallsTests {
    private struct Said {
        var status: EndStatus?
        var text: String
    }

    /// Runs a shell script behind walls.
    private func run(
        _ script: String, readable: [String] = [], writable: [String] = [], network: Bool = false
    ) async throws -> Said {
        let walls = try #require(try await ProgramWalls.find())
        return try await withTemporaryFolder { folder in
            let output = try Descriptor(opening: "\(folder)/output", flags: O_RDWR | O_CREAT)
            let child = try Child.spawn(
                walls.prefix(readable: readable, writable: writable, network: network) + ["/bin/sh", "-c", script],
                environment: ["PATH": "/usr/bin:/bin"], folder: "/", descriptors: [(output, 1), (output, 2)])
            let status = child.wait(limit: .seconds(20))
            if status == nil { child.kill() }
            return Said(status: status, text: try String(contentsOfFile: "\(folder)/output", encoding: .utf8))
        }
    }

    @Test func itReadsWhatItIsGivenAndSeesNothingBesides() async throws {
        try await withTemporaryFolder { folder in
            try "given".write(toFile: "\(folder)/given", atomically: true, encoding: .utf8)
            try "secret".write(toFile: "\(folder)/secret", atomically: true, encoding: .utf8)
            let said = try await run(
                "cat \(folder)/given; ls \(folder); echo x >\(folder)/given || echo read-only; ls /home /root 2>&1",
                readable: ["\(folder)/given", "\(folder)/not-there"])
            #expect(said.text.hasPrefix("givengiven\n"), "\(said.text)")
            #expect(said.text.contains("read-only\n"))
            #expect(!said.text.contains("secret"))
            #expect(try String(contentsOfFile: "\(folder)/given", encoding: .utf8) == "given")
        }
    }

    @Test func itWritesOnlyWhereItMay() async throws {
        try await withTemporaryFolder { folder in
            try FileManager.default.createDirectory(atPath: "\(folder)/own", withIntermediateDirectories: false)
            let said = try await run(
                """
                echo hers >\(folder)/own/file && ln \(folder)/own/file \(folder)/own/link
                echo x >\(folder)/beside; echo x >/usr/berth-test || echo no; echo x >/new || echo no
                """, writable: ["\(folder)/own"])
            #expect(said.text.split(separator: "\n").count { $0 == "no" } == 2, "\(said.text)")
            // What it wrote beside was its own /tmp, which is gone.
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["own"])
            let owner = try FileManager.default.attributesOfItem(atPath: "\(folder)/own/link")[.ownerAccountID]
            #expect(owner as? Int == Int(geteuid()))
        }
    }

    @Test func itHasNoCapabilitiesAndSeesNoOtherProcess() async throws {
        let said = try await run("grep CapEff /proc/self/status; ls /proc | grep -c '^[0-9]'; kill -0 \(getpid())")
        let lines = said.text.split(separator: "\n")
        #expect(lines.first?.hasSuffix("\t0000000000000000") == true, "\(said.text)")
        #expect(lines.count > 1 && (Int(lines[1]) ?? 99) < 8, "\(said.text)")
        #expect(said.status != .exited(code: 0))
    }

    @Test func itHasTheHostsNetworkOrNone() async throws {
        let interfaces = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '"
        #expect(try await run(interfaces, network: false).text.split(separator: "\n") == ["lo"])
        let own = try await run(interfaces, network: true).text
        let host = try String(contentsOfFile: "/proc/net/dev", encoding: .utf8).split(separator: "\n").dropFirst(2)
        #expect(own.split(separator: "\n").count == host.count)
    }

    @Test func nothingOutlivesItsProcessGroup() async throws {
        let walls = try #require(try await ProgramWalls.find())
        try await withTemporaryFolder { folder in
            let output = try Descriptor(opening: "\(folder)/output", flags: O_RDWR | O_CREAT)
            mkfifo("\(folder)/started", 0o600)
            let child = try Child.spawn(
                walls.prefix(readable: [], writable: [folder], network: false)
                    + ["/bin/sh", "-c", "trap '' TERM; echo up >\(folder)/started; sleep 1000"],
                environment: ["PATH": "/usr/bin:/bin"], folder: "/", descriptors: [(output, 1), (output, 2)])
            let started = try Descriptor(opening: "\(folder)/started", flags: O_RDONLY)
            var first: UInt8 = 0
            #expect(read(started.number, &first, 1) == 1)
            kill(-child.pid, SIGKILL)
            #expect(child.wait(limit: .seconds(20)) == .signalled(SIGKILL))
            // The rest of the group goes a moment later.
            let audit = LeakAudit(root: folder, sandboxes: [])
            let deadline = ContinuousClock.now + .seconds(20)
            while !audit.processes().isEmpty, ContinuousClock.now < deadline { await Task.yield() }
            #expect(audit.processes() == [])
        }
    }
}
