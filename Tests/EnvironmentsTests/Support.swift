import BerthTestSupport
import DeploymentCore
import Foundation
import HostDisk
import Testing

@testable import Environments

/// What the tests need of this machine: uv, a Python, and an index that answers.
enum Machine {
    static let variables = ProcessInfo.processInfo.environment
    /// Downloaded wheels, shared by all tests of a run and kept for the next.
    static let cache = FileManager.default.temporaryDirectory.appending(path: "berth-test-uv-cache").path

    static var uv: Uv? {
        guard let found = try? Uv.locate(home: "/nonexistent", environment: variables) else { return nil }
        return Uv(executable: found.executable, cache: cache, environment: variables, allowsPythonDownloads: false)
    }

    /// Why tests with real packages cannot run here; nil when they can.
    static let obstacle: String? = {
        guard let uv else { return "uv is not on the PATH" }
        let probe = Process()
        probe.executableURL = URL(fileURLWithPath: uv.executable)
        probe.arguments = ["pip", "compile", "--quiet", "--no-config", "--cache-dir", cache, "-"]
        let input = Pipe()
        probe.standardInput = input
        probe.standardOutput = FileHandle.nullDevice
        probe.standardError = FileHandle.nullDevice
        guard (try? probe.run()) != nil else { return "uv does not start" }
        input.fileHandleForWriting.write(Data("six\n".utf8))
        try? input.fileHandleForWriting.close()
        probe.waitUntilExit()
        return probe.terminationStatus == 0 ? nil : "the package index cannot be reached"
    }()

    static var isReady: Bool { obstacle == nil }
}

extension Trait where Self == ConditionTrait {
    /// Skips, with the reason, where real packages cannot be installed.
    static var realPackages: Self {
        .enabled("needs uv and a package index: \(Machine.obstacle ?? "")") { Machine.isReady }
    }
}

/// A folder with a lock input and a store in it, closed and removed afterwards.
func withWorkshop<Result: Sendable>(
    _ body: (_ folder: String, _ uv: Uv, _ store: EnvironmentStore) async throws -> Result
) async throws -> Result {
    let uv = try #require(Machine.uv)
    return try await withTemporaryFolder { folder in
        let store = EnvironmentStore(folder: "\(folder)/environments", uv: uv)
        do {
            let result = try await body(folder, uv, store)
            await store.close()
            Disk.remove("\(folder)/environments")
            return result
        } catch {
            await store.close()
            Disk.remove("\(folder)/environments")
            throw error
        }
    }
}

func error(_ body: () async throws -> some Sendable) async throws -> BerthError {
    do {
        _ = try await body()
    } catch let error as BerthError {
        return error
    }
    throw Missing()
}

/// No error came where one was due.
struct Missing: Error {}

/// Collects what is called from any thread.
final class Log<Element: Sendable>: Sendable {
    private let elements = Locked<[Element]>([])

    func append(_ element: Element) { elements.withLock { $0.append(element) } }
    var all: [Element] { elements.withLock { $0 } }
}
