import BerthTestSupport
import DeploymentCore
import Foundation
import HostDisk
import Testing

@testable import Environments

@Suite(.realPackages) struct EnvironmentStoreTests {
    private func lock(_ uv: Uv, _ folder: String, _ lines: [String] = ["six", "idna", "msgspec"]) async throws -> Lock {
        try await uv.lock(LockInputs(folder: folder, requirements: .list(lines)))
    }

    @Test func anEnvironmentIsBuiltOnceCompiledAndRelocatable() async throws {
        try await withWorkshop { folder, uv, store in
            let lock = try await lock(uv, folder)
            let steps = Log<EnvironmentProgress>()
            let built = try await store.environment(for: lock) { steps.append($0) }
            #expect(!built.reused)
            #expect(built.packages == 3)
            #expect(steps.all.first == .installing(done: 0, total: 3))
            #expect(steps.all.contains(.installing(done: 3, total: 3)))
            #expect(steps.all.contains(.compiling) && steps.all.last == .finishing)
            let again = try await store.environment(for: lock)
            #expect(again.reused && again.path == built.path && again.packages == 3)
            #expect(try uncompiled(built.path).isEmpty)
            try FileManager.default.createSymbolicLink(atPath: "\(folder)/elsewhere", withDestinationPath: built.path)
            let python = Program(
                executable: "\(folder)/elsewhere/bin/python",
                arguments: ["-c", "import six, idna, msgspec; print(six.__file__)"],
                environment: [:], folder: "/", timeout: .seconds(60))
            let result = try await python.run()
            #expect(result.output.contains("/elsewhere/lib/"), "\(result.errors)")
        }
    }

    @Test func tenCallersShareOneBuild() async throws {
        try await withWorkshop { folder, uv, store in
            let lock = try await lock(uv, folder)
            let compilations = Log<Int>()
            let paths = try await withThrowingTaskGroup(of: String.self) { group in
                for number in 0..<10 {
                    group.addTask {
                        try await store.environment(for: lock) { step in
                            if step == .compiling { compilations.append(number) }
                        }.path
                    }
                }
                return try await group.reduce(into: Set<String>()) { $0.insert($1) }
            }
            #expect(paths.count == 1)
            #expect(Set(compilations.all).count == compilations.all.count, "a caller saw two builds")
            #expect(try temporaries(store).isEmpty)
        }
    }

    @Test func aCancelledCallerDoesNotEndTheBuildOfTheOthers() async throws {
        try await withWorkshop { folder, uv, store in
            let lock = try await lock(uv, folder)
            let (started, start) = AsyncStream<Void>.makeStream()
            async let other = store.environment(for: lock) { _ in start.yield() }
            for await _ in started { break }
            let (joined, join) = AsyncStream<Void>.makeStream()
            let cancelled = Task {
                try await store.environment(for: lock) { _ in join.yield() }
            }
            for await _ in joined { break }
            cancelled.cancel()
            await #expect(throws: CancellationError.self) { try await cancelled.value }
            #expect(try await !other.reused)
        }
    }

    @Test func theLastCallerToLeaveEndsTheBuildWithoutTraces() async throws {
        try await withWorkshop { folder, uv, store in
            let lock = try await lock(uv, folder)
            let (started, start) = AsyncStream<Void>.makeStream()
            let only = Task { try await store.environment(for: lock) { _ in start.yield() } }
            for await _ in started { break }
            only.cancel()
            await #expect(throws: CancellationError.self) { try await only.value }
            let environment = try await store.environment(for: lock)
            #expect(!environment.reused)
            await store.close()
            #expect(try temporaries(store).isEmpty)
        }
    }

    @Test func closingEndsABuildWithItsProcessesAndIsCheapAfterwards() async throws {
        try await withWorkshop { folder, uv, store in
            let lock = try await lock(uv, folder)
            let (started, start) = AsyncStream<Void>.makeStream()
            let caller = Task { try await store.environment(for: lock) { _ in start.yield() } }
            for await _ in started { break }
            await store.close()
            #expect(try temporaries(store).isEmpty)
            #expect(try processes(naming: store.staging).isEmpty)
            await #expect(throws: CancellationError.self) { try await caller.value }
            await store.close()
            await #expect(throws: CancellationError.self) { try await store.environment(for: lock) }
        }
    }

    @Test func closingWaitsForABuildThatItsCallerHasLeft() async throws {
        try await withWorkshop { folder, uv, store in
            let lock = try await lock(uv, folder)
            let (started, start) = AsyncStream<Void>.makeStream()
            let caller = Task { try await store.environment(for: lock) { _ in start.yield() } }
            for await _ in started { break }
            caller.cancel()
            _ = try? await caller.value
            await store.close()
            #expect(try temporaries(store).isEmpty)
            #expect(try processes(naming: store.staging).isEmpty)
        }
    }

    @Test func uvIsGivenWhatWasUnderstoodOfALockAndNothingElse() async throws {
        try await withWorkshop { folder, uv, _ in
            let seen = "\(folder)/seen"
            // Stands in for uv: keeps the file that it is told to install from.
            let script = """
                #!/bin/sh
                case "$1" in
                --version) echo "uv 0.0.0" ;;
                python) exec \(uv.executable) "$@" ;;
                venv) for last; do :; done; mkdir -p "$last" ;;
                pip) for last; do :; done; cat "$last" > \(seen); pwd > \(folder)/cwd; exit 1 ;;
                esac
                """
            try script.write(toFile: "\(folder)/fake-uv", atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(folder)/fake-uv")
            let fake = Uv(executable: "\(folder)/fake-uv", cache: "\(folder)/cache", environment: Machine.variables)
            let store = EnvironmentStore(folder: "\(folder)/fakes", uv: fake)
            let hash = "sha256:" + String(repeating: "ab", count: 32)
            let lock = try Lock(
                parsing: "# --no-binary :all:\r\nsix==1.0; python_version > '3' \\\r\n  --hash=\(hash) # ${HOME}\r\n")
            _ = try await error { try await store.environment(for: lock) }
            await store.close()
            #expect(
                try String(contentsOfFile: seen, encoding: .utf8)
                    == "six==1.0 ; python_version > '3' --hash=\(hash)\n")
            #expect(try String(contentsOfFile: "\(folder)/cwd", encoding: .utf8) == "/\n")
        }
    }

    @Test func leftoversOfAKilledBuildAreRemovedAndThoseOfALivingOneKept() async throws {
        try await withWorkshop { folder, _, store in
            let (dead, living) = (String(repeating: "a", count: 64), String(repeating: "b", count: 64))
            let environments = "\(folder)/environments"
            try Disk.makeFolder("\(environments)/.locks")
            // Renamed to be removed, and in the middle of being built.
            try Disk.makeFolder("\(environments)/\(dead).tmp-gone-2/lib")
            try Disk.makeFolder("\(store.staging)/\(dead).tmp-1-2/lib")
            try Disk.makeFolder("\(store.staging)/\(living).tmp-3-4")
            guard let held = try FolderLock.tryTake(EnvironmentBuild.lockPath(environments, living)) else {
                throw Missing()
            }
            #expect(try await store.removeLeftovers() == 2)
            #expect(try temporaries(store) == ["\(living).tmp-3-4"])
            _ = consume held
            #expect(try await store.removeLeftovers() == 1)
        }
    }

    @Test func nothingOfAPackageRunsWhileItIsInstalled() async throws {
        try await withWorkshop { folder, uv, store in
            let wheel = try await Wheel.write(
                named: "trap", in: folder,
                files: [
                    "trap.pth": "import os; open('\(folder)/sprung-pth', 'w').write('x')\n",
                    "trap.py": "open('\(folder)/sprung-module', 'w').write('x')\n",
                    "trap_broken.py": "def (:\n",
                    "sitecustomize.py": "open('\(folder)/sprung-site', 'w').write('x')\n",
                ])
            let lock = try Lock(parsing: "trap @ file://\(wheel.path) --hash=sha256:\(wheel.sha256)\n")
            let warnings = Log<EnvironmentProgress>()
            let environment = try await store.environment(for: lock) { step in
                if case .warning = step { warnings.append(step) }
            }
            let sprung = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix("sprung") }
            #expect(sprung.isEmpty)
            #expect(warnings.all == [.warning("1 files could not be compiled ahead")])
            #expect(try uncompiled(environment.path).map { $0.lastName } == ["trap_broken.py"])
            // The trap is a real one: the environment's own interpreter does spring it.
            let python = Program(
                executable: environment.python, arguments: ["-c", "pass"], environment: [:], folder: "/",
                timeout: .seconds(60))
            _ = try await python.run()
            #expect(FileManager.default.fileExists(atPath: "\(folder)/sprung-pth"))
        }
    }

    @Test func aWheelThatIsNotTheLockedOneIsRefused() async throws {
        try await withWorkshop { folder, uv, store in
            let wheel = try await Wheel.write(named: "other", in: folder, files: ["other.py": ""])
            let wrong = String(repeating: "0", count: 64)
            let lock = try Lock(parsing: "other @ file://\(wheel.path) --hash=sha256:\(wrong)\n")
            let failure = try await error { try await store.environment(for: lock) }
            #expect(failure.code == .dependencies)
            #expect(failure.message.contains("is not the one in the lock"), "\(failure)")
            #expect((failure.cause as? UvFailure)?.description.contains(wheel.sha256) == true)
            #expect(try temporaries(store).isEmpty)
        }
    }

    @Test func anEmptyLockGivesABareInterpreter() async throws {
        try await withWorkshop { folder, uv, store in
            let lock = try await uv.lock(LockInputs(folder: folder, requirements: .none))
            let environment = try await store.environment(for: lock)
            #expect(environment.packages == 0)
            #expect(FileManager.default.isExecutableFile(atPath: environment.python))
        }
    }

    @Test func environmentsThatNobodyKeepsAreRemoved() async throws {
        try await withWorkshop { folder, uv, store in
            let kept = try await store.environment(for: try await lock(uv, folder, ["six"]))
            let gone = try await store.environment(for: try await lock(uv, folder, ["idna"]))
            #expect(try await store.collectGarbage(keeping: [kept.digest]).isEmpty, "both are younger than the grace")
            #expect(
                try await store.collectGarbage(
                    keeping: [kept.digest], mounted: [gone.path, "/elsewhere"], graceSeconds: 0
                ).isEmpty)
            #expect(try await store.collectGarbage(keeping: [kept.digest], graceSeconds: 0) == [gone.digest])
            #expect(!FileManager.default.fileExists(atPath: gone.path))
            #expect(FileManager.default.fileExists(atPath: kept.path))
        }
    }

    private func temporaries(_ store: EnvironmentStore) throws -> [String] {
        try [store.folder, store.staging].flatMap { folder in
            guard FileManager.default.fileExists(atPath: folder) else { return [] as [String] }
            return try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.contains(".tmp-") }
        }
    }

    /// The command lines of running processes that name a folder.
    private func processes(naming folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { Int($0) != nil }.compactMap { id in
            let line = FileManager.default.contents(atPath: "/proc/\(id)/cmdline").map {
                String(decoding: $0, as: UTF8.self)
            }
            return line.flatMap { $0.contains(folder) ? $0 : nil }
        }
    }

    /// The sources under a folder that have no bytecode.
    private func uncompiled(_ folder: String) throws -> [String] {
        let all = try FileManager.default.subpathsOfDirectory(atPath: "\(folder)/lib")
        let compiled = Set(all.filter { $0.hasSuffix(".pyc") })
        return all.filter { $0.hasSuffix(".py") }.filter { source in
            let name = source.lastName.dropLast(3)
            let cache = source.parentPath + "/__pycache__/\(name).cpython-"
            return !compiled.contains { $0.hasPrefix(cache) }
        }
    }
}
