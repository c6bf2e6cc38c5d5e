import CPlatform
import CurlClient
import DeploymentCore
import Foundation
import Glibc
import Sandboxes
import Testing

@testable import LocalSandbox

/// Skips what needs Landlock, with the reason that the trial found.
let needsLandlock = ConditionTrait.enabled(
    if: Machine.confinement?.works == true,
    "needs berth-agent and Landlock: \(Machine.confinement?.detail ?? "berth-agent is not built")")

@Suite(needsAgent) struct WallsTests {
    /// What a process that the agent started is told of itself.
    private func status(_ sandbox: any Sandbox) async throws -> [String: String] {
        let output = try await sandbox.shell("cat /proc/self/status; ulimit -c")
        let lines = output.stdout.split(separator: "\n")
        var fields = ["core": String(lines.last ?? "")]
        for line in lines {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2 { fields[String(parts[0])] = parts[1].trimmingCharacters(in: .whitespaces) }
        }
        return fields
    }

    @Test(arguments: Machine.rungs)
    func everyProcessHasTheFilterAndNoPowers(_ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            let fields = try await status(try await engine.sandbox())
            #expect(fields["Seccomp"] == "2")
            #expect(fields["NoNewPrivs"] == "1")
            for name in ["CapInh", "CapPrm", "CapEff", "CapAmb"] { #expect(fields[name] == "0000000000000000") }
            // Only a capability can shrink the bounding set; without one nobody can use what is in it.
            if isolation == .namespaces || getuid() == 0 { #expect(fields["CapBnd"] == "0000000000000000") }
            #expect(fields["core"] == "0")
        }
    }

    @Test(needsLandlock) func landlockIsTakenAndAnnouncedWhereNamespacesAreMissing() async throws {
        let client = CurlClient()
        defer { client.close() }
        let said = Locked<[String]>([])
        let provider = LocalProvider(
            folder: "/nonexistent", agent: try #require(Machine.agent), isolation: nil, client: client,
            announce: { line in said.withLock { $0.append(line) } }, bubblewrap: nil, identities: { .refused })
        for _ in 0..<2 { #expect(try await provider.capabilities().isolation == .landlock) }
        #expect(
            said.withLock { $0 } == ["sandboxes are processes behind Landlock: bubblewrap (bwrap) is not installed"])
    }

    @Test(needsLandlock) func onlyTheSandboxsOwnPortIsConnectedTo() async throws {
        try await withEngine(.landlock) { engine in
            let sandbox = try await engine.sandbox()
            let stranger = try HostListener()
            await #expect(throws: PortRefused.self) { _ = try await sandbox.connect(port: stranger.port) }
        }
    }

    @Test(arguments: Isolation.allCases, Machine.everyRung)
    func lessThanDemandedIsRefusedBeforeAnythingIsMade(_ minimum: Isolation, _ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            var specification = engine.specification()
            specification.minimumIsolation = minimum
            guard isolation < minimum else {
                let sandbox = try await engine.provider.create(specification)
                #expect(sandbox.isolation == isolation)
                return
            }
            let error = await #expect(throws: BerthError.self) { _ = try await engine.provider.create(specification) }
            #expect(error?.code.exitCode == 12)
            #expect(error?.message.contains("\(minimum.rawValue) at least") == true)
            #expect(error?.suggestion?.contains("berth doctor") == true)
            #expect(engine.leaks() == [])
        }
    }

    @Test func agentThatCannotPutUpItsWallsDoesNotServe() throws {
        let agent = try #require(Machine.agent)
        for arguments in [["--walls", "paper"], ["--walls", "landlock", "--port", "70000"], ["--readable", "/usr"]] {
            let child = try Child.spawn(
                [agent] + arguments + ["--listen-fd", "3", "--home", "/tmp"], environment: [:], folder: "/",
                descriptors: [])
            #expect(child.wait(limit: .seconds(5)) == .exited(code: 2))
        }
    }

    @Test(arguments: Machine.rungs.filter(\.sharesHost))
    func modelsThatComeLaterFollowNoLinkThatWasPlanted(_ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            _ = try await engine.provider.list()
            let outside = engine.folder + ".outside"
            let source = engine.folder + ".model"
            try makeFolder(outside, mode: 0o755)
            try SandboxFolder.write(Array("weights".utf8), to: source)
            let sandbox = try await engine.sandbox()
            let planted = try await sandbox.shell("ln -s \(outside) models; ln -s \(outside)/file other")
            #expect(planted.status == .exited(code: 0))
            let labels = SandboxLabels(deployment: "demo", nonce: "later", rollout: "later")
            for target in ["models/m.bin", "other"] {
                let mount = SandboxSpecification.Mount(source: source, target: "/home/user/app/\(target)")
                await #expect(throws: BerthError.self) {
                    _ = try await engine.provider.assign(sandbox.id, labels: labels, models: [mount])
                }
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: outside) == [])
            let honest = SandboxSpecification.Mount(source: source, target: "/home/user/app/new/m.bin")
            _ = try await engine.provider.assign(sandbox.id, labels: labels, models: [honest])
            #expect(try await sandbox.read("\(sandbox.appFolder)/new/m.bin", limit: 100) == Array("weights".utf8))
        }
    }

    @Test func filterIsReadFromItsBeginning() throws {
        for kind in [BERTH_FILTER_COMMON, BERTH_FILTER_SHARED_HOST] {
            let file = Descriptor(try check(berth_filter_file(kind), "no filter"))
            #expect(lseek(file.number, 0, SEEK_CUR) == 0)
            let size = lseek(file.number, 0, SEEK_END)
            #expect(size > 0 && size % 8 == 0)
        }
    }

    @Test func trialWithoutAnAgentSaysWhy() {
        let trial = LandlockTrial.run("/nonexistent/agent")
        #expect(!trial.works)
        #expect(trial.detail.contains("/nonexistent/agent"))
        #expect(!LandlockTrial.run("/bin/false").works)
        #expect(!LandlockTrial.run("/bin/true").works)
    }

    @Test func coverageGrowsWithTheVersion() {
        #expect(LandlockTrial.coverage(1) == "files")
        #expect(LandlockTrial.coverage(4) == "files and TCP")
        #expect(LandlockTrial.coverage(7) == "files, TCP, signals and abstract sockets")
    }
}

/// A TCP listener of the host's.
final class HostListener: Sendable {
    let port: Int
    private let socket: Descriptor

    init() throws {
        socket = Descriptor(Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let number = socket.number
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(number, address, size) == 0 && listen(number, 64) == 0 && getsockname(number, address, &size) == 0
            }
        }
        guard result else { throw BerthError.system(errno, "no listener on the host") }
        port = Int(UInt16(bigEndian: address.sin_port))
    }
}
