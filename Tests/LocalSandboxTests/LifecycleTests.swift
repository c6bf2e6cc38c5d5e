import BerthTestSupport
import CurlClient
import DeploymentCore
import Foundation
import Glibc
import Sandboxes
import Testing

@testable import LocalSandbox

@Suite(needsAgent) struct LifecycleTests {
    @Test(arguments: Machine.everyRung)
    func createdSandboxIsListedUntilDestroyed(_ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            let specification = engine.specification()
            let sandbox = try await engine.provider.create(specification)
            #expect(sandbox.isolation == isolation)
            let expected = SandboxRecord(id: sandbox.id, labels: specification.labels, isAlive: true)
            #expect(try await engine.provider.list() == [expected])
            try await engine.provider.destroy(sandbox.id)
            #expect(try await engine.provider.list() == [])
            try await engine.provider.destroy(sandbox.id)
        }
    }

    @Test(arguments: Machine.everyRung)
    func takenIdIsAConflictAndLeavesTheFirstAlone(_ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            let specification = engine.specification()
            let sandbox = try await engine.provider.create(specification)
            let error = await #expect(throws: BerthError.self) { _ = try await engine.provider.create(specification) }
            #expect(error?.code == .conflict)
            #expect(try await sandbox.shell("echo alive").stdout == "alive\n")
        }
    }

    @Test(needsPython, arguments: Machine.everyRung)
    func restartedControlPlaneAdoptsProcessesAndTheirOutput(_ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            let id = try await { () async throws -> String in
                let sandbox = try await engine.sandbox()
                _ = try await sandbox.serve("kept")
                let go = "\(sandbox.appFolder)/go"
                #expect(try await sandbox.shell("mkfifo \(go)").status == .exited(code: 0))
                let script = "echo first; read line < \(go); echo second; echo problem >&2"
                let process = try await sandbox.start(
                    ProcessSpecification(tag: "talker", command: ["/bin/sh", "-c", script]))
                try await waitForLine("first\n", from: process)
                return sandbox.id
            }()
            let provider = engine.restarted()
            #expect(try await provider.list().map(\.isAlive) == [true])
            let sandbox = try await provider.adopt(id)
            #expect(try await sandbox.ask(engine.client) == "kept")
            // Written while nobody is subscribed.
            #expect(try await sandbox.shell("echo > go").status == .exited(code: 0))
            let talker = try await output(of: sandbox.process(tagged: "talker"))
            #expect(talker.stdout.hasSuffix("second\n"))
            #expect(talker.stderr == "problem\n")
            #expect(talker.status == .exited(code: 0))
            try await provider.destroy(id)
            #expect(engine.leaks() == [])
        }
    }

    @Test(arguments: Machine.everyRung)
    func deadSandboxIsListedAndNotAdopted(_ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            let sandbox = try await engine.sandbox()
            let process = try #require(try engine.provider.sandboxFolder(sandbox.id).state()?.process)
            let pidfd = try Descriptor(ofProcess: process.pid)
            #expect(kill(process.pid, SIGKILL) == 0)
            try await ExitWatch.wait(pidfd)
            #expect(try await engine.provider.list().map(\.isAlive) == [false])
            let error = await #expect(throws: BerthError.self) { _ = try await engine.provider.adopt(sandbox.id) }
            #expect(error?.code == .notFound)
        }
    }

    @Test(arguments: Machine.everyRung)
    func sandboxWhoseStartWasNotWrittenDownIsFoundAndDestroyed(_ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            let sandbox = try await engine.sandbox()
            let folder = engine.provider.sandboxFolder(sandbox.id)
            var state = try #require(try folder.state())
            let process = try #require(state.process)
            state.process = nil
            try folder.update(state)
            let provider = engine.restarted()
            #expect(try await provider.list().map(\.isAlive) == [true])
            _ = try await provider.adopt(sandbox.id)
            #expect(try folder.state()?.process == process)
            try folder.update(state)
            try await provider.destroy(sandbox.id)
            #expect(!ProcessTable.isAlive(process))
            #expect(engine.leaks() == [])
        }
    }

    @Test(needsPython, arguments: Machine.everyRung)
    func hostileFilesAreRemoved(_ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            let outside = engine.folder + ".outside"
            _ = try await engine.provider.list()
            try makeFolder(outside, mode: 0o700)
            try SandboxFolder.write([1], to: "\(outside)/precious")
            let sandbox = try await engine.sandbox()
            let output = try await sandbox.shell(
                """
                ln -s \(outside) link; ln -s / root; mkfifo pipe; printf x > "$(printf 'bad\\377name')"
                mkdir -p closed/inner; touch closed/inner/file; chmod 000 closed/inner closed
                /usr/bin/python3 -c 'import os
                for level in range(5000): os.mkdir("deeper"); os.chdir("deeper")
                open("bottom", "w").close(); os.chmod(".", 0)'
                """)
            #expect(output.status == .exited(code: 0), "\(output.stderr)")
            try await engine.provider.destroy(sandbox.id)
            #expect(try SandboxFolder.read("\(outside)/precious", limit: 10) == [1])
        }
    }

    @Test(needsPython, arguments: Machine.everyRung)
    func processesThatHideAreEnded(_ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            let sandbox = try await engine.sandbox()
            let script = """
                import os, signal, time
                for name in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(name, signal.SIG_IGN)
                if os.fork() == 0:
                    os.setsid()
                    if os.fork() == 0:
                        print("hidden", flush=True)
                        time.sleep(600)
                time.sleep(600)
                """
            let process = try await sandbox.start(
                ProcessSpecification(tag: "hider", command: ["/usr/bin/python3", "-c", script]))
            try await waitForLine("hidden\n", from: process)
            try await engine.provider.destroy(sandbox.id)
            #expect(engine.leaks() == [])
        }
    }

    @Test(arguments: Machine.everyRung)
    func twentySandboxesAreMadeAtOnce(_ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            let ports = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        let sandbox = try await engine.sandbox()
                        #expect(try await sandbox.shell("echo up").stdout == "up\n")
                        return sandbox.port
                    }
                }
                return try await group.reduce(into: [Int]()) { $0.append($1) }
            }
            #expect(Set(ports).count == (isolation.sharesHost ? 20 : 1))
            #expect(try await engine.provider.list().filter(\.isAlive).count == 20)
        }
    }
}
