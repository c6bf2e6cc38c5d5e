import DeploymentCore
import Foundation
import Sandboxes
import Testing

@testable import LocalSandbox

/// Apps that try to break each limit from inside.
@Suite(needsAgent) struct LimitTests {
    @Test(needsGroup(.memory), needsPython)
    func memoryBombIsKilledAndToldAsSuch() async throws {
        try await withEngine(Machine.strongest) { engine in
            let sandbox = try await engine.sandbox(SandboxLimits(memory: 64 << 20))
            let ended = try await sandbox.python("print('up', flush=True); b = bytearray(512 << 20); print('lives')")
            #expect(ended.stdout == "up\n")
            #expect(ended.status == .signalled(9))
            #expect(await sandbox.reason(.memory) == "the app was killed: over its memory limit of 64 MiB")
            #expect(try await sandbox.statistics().memoryKills == 1)
            // The agent lives, and so does the sandbox.
            #expect(try await sandbox.shell("echo still here").stdout == "still here\n")
        }
    }

    @Test(needsGroup(.memory), needsPython)
    func memoryOfAllProcessesCountsTogether() async throws {
        try await withEngine(Machine.strongest) { engine in
            let sandbox = try await engine.sandbox(SandboxLimits(memory: 96 << 20))
            let program = """
                import os
                children = []
                for i in range(8):
                    pid = os.fork()
                    if pid == 0:
                        b = bytearray(40 << 20)
                        import signal; signal.pause()
                    children.append(pid)
                pid, status = os.wait()
                print("killed", os.WTERMSIG(status))
                for child in children:
                    try: os.kill(child, 9)
                    except ProcessLookupError: pass
                """
            #expect(try await sandbox.python(program).stdout == "killed 9\n")
        }
    }

    @Test(
        .enabled(
            if: Machine.enforcement.enforced.processes != .none,
            "nothing limits processes: \(Machine.enforcement.enforced.notes.joined(separator: "; "))"))
    func forkBombIsStoppedAndItsNeighbourServes() async throws {
        try await withEngine(Machine.strongest) { engine in
            let sandbox = try await engine.sandbox(SandboxLimits(processes: 32))
            let neighbour = try await engine.sandbox(SandboxLimits())
            let script = "i=0; while [ $i -lt 200 ]; do sleep 600 & i=$((i+1)); done; echo started all"
            let bomb = try await sandbox.start(
                ProcessSpecification(tag: "bomb", command: ["/bin/sh", "-c", script]))
            #expect(try await output(of: bomb).stdout == "")
            let statistics = try await sandbox.statistics()
            #expect((20...32).contains(statistics.processes))
            #expect(statistics.processLimit == 32)
            // A resource limit counts no refusals.
            let reason = "the app could not start more processes: at its limit of 32"
            #expect(await sandbox.reason(.processes) == (Machine.hasGroup(.processes) ? reason : nil))
            #expect(try await neighbour.shell("(true) && echo fine").stdout == "fine\n")
        }
    }

    @Test(needsGroup(.cpu), needsPython)
    func processorTimeIsARate() async throws {
        try await withEngine(Machine.strongest) { engine in
            let sandbox = try await engine.sandbox(SandboxLimits(cpu: 0.2))
            let program = """
                import time
                wall, used = time.monotonic(), time.process_time()
                while time.process_time() - used < 0.3: pass
                print((time.monotonic() - wall) / 0.3)
                """
            let ratio = try #require(Double(try await sandbox.python(program).stdout.dropLast()))
            // Five times as long as the time used; the first period is free.
            #expect(ratio > 3)
            #expect(try await sandbox.statistics().cpuSeconds > 0.3)
        }
    }

    @Test(needsPython, arguments: Machine.everyRung)
    func openFilesRunOut(_ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            let sandbox = try await engine.sandbox(SandboxLimits(openFiles: 64))
            let program = """
                import errno, resource
                files = []
                try:
                    while True: files.append(open("/dev/null"))
                except OSError as error:
                    print(errno.errorcode[error.errno], len(files) < 64, resource.getrlimit(resource.RLIMIT_NOFILE))
                """
            #expect(try await sandbox.python(program).stdout == "EMFILE True (64, 64)\n")
        }
    }

    @Test(needsPython, arguments: Machine.everyRung)
    func fileCannotGrowBeyondTheDiskLimit(_ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            let sandbox = try await engine.sandbox(SandboxLimits(disk: 2 << 20))
            let program = """
                import errno, os
                file = os.open("big", os.O_WRONLY | os.O_CREAT)
                try:
                    while True: os.write(file, bytes(1 << 16))
                except OSError as error:
                    print(errno.errorcode[error.errno], os.fstat(file).st_size)
                os.unlink("big")
                """
            #expect(try await sandbox.python(program).stdout == "EFBIG 2097152\n")
            // The agent has the same limit, and survives it.
            await #expect(throws: BerthError.self) {
                try await sandbox.write(
                    [UInt8](repeating: 1, count: 4 << 20), to: "\(sandbox.appFolder)/big", executable: false)
            }
            #expect(try await sandbox.shell("echo still here").stdout == "still here\n")
        }
    }

    @Test(arguments: Machine.rungs, [false, true])
    func diskFillIsKilledAndToldAsSuch(_ isolation: Isolation, isNameless: Bool) async throws {
        try await withEngine(isolation) { engine in
            let sandbox = try await engine.sandbox(SandboxLimits(disk: 4 << 20))
            let fill =
                isNameless
                ? "n=3; while [ $n -lt 9 ]; do eval \"exec $n>f\"; rm f; head -c 1048576 /dev/zero >&$n; n=$((n+1)); done"
                : "n=0; while [ $n -lt 6 ]; do head -c 1048576 /dev/zero > f$n; n=$((n+1)); done"
            let ended = try await sandbox.shell("\(fill); exec sleep 600")
            #expect(ended.status == .signalled(9))
            #expect(await sandbox.reason(.disk) == "the app was killed: over its disk limit of 4 MiB")
            #expect(try await sandbox.shell("rm -f f*; echo still here").stdout == "still here\n")
        }
    }

    @Test(arguments: Machine.everyRung)
    func ignoredTerminationDoesNotDelayTheEnd(_ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            let sandbox = try await engine.sandbox(SandboxLimits())
            let process = try await sandbox.start(
                ProcessSpecification(
                    tag: "stubborn",
                    command: ["/bin/sh", "-c", "trap '' TERM HUP INT; echo up; while :; do sleep 600; done"]))
            try await waitForLine("up\n", from: process)
            try await process.signal(SIGTERM)
            let start = ContinuousClock.now
            try await engine.provider.destroy(sandbox.id)
            #expect(ContinuousClock.now - start < .seconds(2))
        }
    }

    @Test func whatCannotBeEnforcedIsRefusedByName() async throws {
        try await withEngine(Machine.strongest, enforcement: Host.none.enforcement) { engine in
            let enforced = try await engine.provider.capabilities().enforced
            #expect(enforced.cpu == .none)
            #expect(enforced.processes == .none)
            #expect(enforced.memory == .rlimit)
            #expect(enforced.openFiles == .rlimit)
            #expect(enforced.freeze == .stopSignal)
            for limits in [SandboxLimits(cpu: 1), SandboxLimits(processes: 64)] {
                let error = await #expect(throws: BerthError.self) { _ = try await engine.sandbox(limits) }
                #expect(error?.code.exitCode == 12)
                let name = limits.demanded.map(\.rawValue).joined()
                #expect(error?.message == "the limit resources.\(name) cannot be enforced here: this host has none")
            }
        }
    }

    @Test(needsPython)
    func memoryWithoutGroupsIsLimitedForEachProcess() async throws {
        try await withEngine(Machine.strongest, enforcement: Host.none.enforcement) { engine in
            let sandbox = try await engine.sandbox(SandboxLimits(memory: 256 << 20))
            let program = "try: b = bytearray(512 << 20)\nexcept MemoryError: print('refused')"
            #expect(try await sandbox.python(program).stdout == "refused\n")
        }
    }
}
