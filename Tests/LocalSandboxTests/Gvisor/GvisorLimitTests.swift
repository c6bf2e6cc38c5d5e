import CurlClient
import DeploymentCore
import Foundation
import Glibc
import Sandboxes
import Testing

@testable import LocalSandbox

/// Limits on gVisor: counted inside where its kernel counts, and otherwise the end of the whole sandbox.
@Suite(needsGvisor, needsPython) struct GvisorLimitTests {
    @Test func processesRunOutInsideAndTheSandboxLives() async throws {
        try await withEngine(.gvisor) { engine in
            let sandbox = try await engine.sandbox(SandboxLimits(processes: 20))
            let program = """
                import errno, os, signal
                children = []
                try:
                    while len(children) < 100:
                        child = os.fork()
                        if child == 0: signal.pause()
                        children.append(child)
                except OSError as error:
                    print(errno.errorcode[error.errno], len(children) < 20)
                for child in children:
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                """
            #expect(try await sandbox.python(program).stdout == "EAGAIN True\n")
            #expect(try await sandbox.shell("echo still here").stdout == "still here\n")
        }
    }

    @Test(needsGroup(.memory)) func memoryBombEndsTheSandboxAndIsToldAsSuch() async throws {
        try await withEngine(.gvisor) { engine in
            let sandbox = try await engine.sandbox(SandboxLimits(memory: 128 << 20))
            _ = try? await sandbox.python("b = bytearray(1 << 29); print('got it')")
            #expect(await sandbox.reason(.memory) == "the app was killed: over its memory limit of 128 MiB")
            try await engine.provider.destroy(sandbox.id)
            #expect(engine.leaks() == [])
        }
    }

    @Test(arguments: [false, true])
    func fullDiskEndsTheSandboxAndIsToldAsSuch(_ isNameless: Bool) async throws {
        try await withEngine(.gvisor) { engine in
            let sandbox = try await engine.sandbox(SandboxLimits(disk: 4 << 20))
            let fill =
                isNameless
                ? "n=3; while [ $n -lt 9 ]; do eval \"exec $n>f\"; rm f; head -c 1048576 /dev/zero >&$n; n=$((n+1)); done"
                : "n=0; while [ $n -lt 6 ]; do head -c 1048576 /dev/zero > f$n; n=$((n+1)); done"
            await #expect(throws: BerthError.self) { _ = try await sandbox.shell("\(fill); exec sleep 600") }
            #expect(await sandbox.reason(.disk) == "the app was killed: over its disk limit of 4 MiB")
            // The answer breaks off a moment before the last process is gone.
            while try await engine.provider.list().map(\.isAlive) != [false] { await Task.yield() }
        }
    }

    @Test func memoryThatNoGroupLimitsIsRefused() async throws {
        let enforcement = { @Sendable (isolation: Isolation) in Host.none.enforcement(isolation).adapted(to: isolation)
        }
        try await withEngine(.gvisor, enforcement: enforcement) { engine in
            let enforced = try await engine.provider.capabilities().enforced
            #expect(enforced.memory == .none)
            #expect(enforced.processes == .rlimit)
            let error = await #expect(throws: BerthError.self) {
                _ = try await engine.sandbox(SandboxLimits(memory: 256 << 20))
            }
            #expect(error?.message == "the limit resources.memory cannot be enforced here: this host has none")
            let sandbox = try await engine.sandbox(SandboxLimits(processes: 20))
            #expect(try await sandbox.shell("ulimit -p 2>/dev/null || ulimit -u").stdout == "20\n")
        }
    }
}
