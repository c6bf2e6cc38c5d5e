import ControlPlane
import DeploymentCore
import Foundation
import Testing

/// Where the programs under test lie, and what this machine allows.
enum Machine {
    /// The folder that the build put the test bundle and the programs in.
    static let buildFolder: String = {
        let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let given = ProcessInfo.processInfo.environment["BERTH_TEST_BUILD"]
        return given
            ?? URL(fileURLWithPath: own ?? "/").deletingLastPathComponent().path(percentEncoded: false).dropSlash
    }()

    /// The root of the checkout.
    static let checkout = (0..<4).reduce(URL(fileURLWithPath: #filePath)) { url, _ in url.deletingLastPathComponent() }
        .path(percentEncoded: false).dropSlash

    static var berth: String { "\(buildFolder)/berth" }

    /// The rungs for tests of what does not depend on the walls: the strongest, and the one that works everywhere.
    static let outerRungs: [Isolation] = [.process, .namespaces]

    /// The program of that name on the PATH.
    static func find(_ program: String) -> String? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        return path.split(separator: ":").map { "\($0)/\(program)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// What the control plane's own doctor finds; asked once.
    static let findings = Task<[Doctor.Check], Never> {
        let environment = [
            "BERTH_HOME": "/nonexistent", "BERTH_AGENT": "\(buildFolder)/berth-agent",
            "BERTH_TEMPLATES": "\(checkout)/templates",
        ]
        guard let configuration = try? Configuration(environment: environment, executable: berth) else { return [] }
        return await Doctor(configuration: configuration).examine()
    }

    /// Skips the test where the rung does not work, with what the doctor found.
    static func require(_ rung: Isolation) async throws {
        guard rung != .process else { return }
        let check = await findings.value.first { $0.name == "isolation \(rung.rawValue)" }
        guard check?.verdict != .good else { return }
        try Test.cancel("needs \(rung.rawValue): \(check?.finding ?? "the doctor could not be asked")")
    }
}

extension String {
    var dropSlash: String { hasSuffix("/") ? String(dropLast()) : self }
}

/// At most as many control planes at once as the machine has processors, so that deadlines mean something.
actor Slots {
    static let shared = Slots(max(2, ProcessInfo.processInfo.activeProcessorCount))

    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(_ count: Int) { free = count }

    func take() async {
        if free > 0 {
            free -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    func give() {
        if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
    }
}
