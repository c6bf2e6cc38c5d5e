import DeploymentCore
import Foundation
import Glibc
import Sandboxes
import Testing

@testable import LocalSandbox

@Suite struct VolumeTests {
    private func specification(
        _ engine: Engine, _ volumes: [(String, String)], mounts: [SandboxSpecification.Mount] = []
    ) -> SandboxSpecification {
        var specification = engine.specification(mounts)
        specification.volumes = volumes.map { .init(source: $0.0, target: $0.1) }
        return specification
    }

    /// A folder beside the sandboxes' one.
    private func volume(_ engine: Engine, _ name: String = "volume") throws -> String {
        let path = "\((engine.folder as NSString).deletingLastPathComponent)/\(name)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        return path
    }

    @Test(needsNamespaces) func sandboxesShareAVolumeThatOutlivesThem() async throws {
        try await withEngine(.namespaces) { engine in
            let folder = try volume(engine)
            let one = try await engine.provider.create(specification(engine, [(folder, "/mnt/deep/data")]))
            let two = try await engine.provider.create(specification(engine, [(folder, "/home/user/data")]))
            let written = try await one.shell(
                "cd /mnt/deep/data && echo shared >file && mkdir own && chmod 700 own && echo x >own/y && stat -c %U:%G ."
            )
            #expect(written.stdout == "user:user\n")
            let read = try await two.shell(
                "cat ~/data/file ~/data/own/y && echo more >>~/data/file && stat -c %U ~/data/file")
            #expect(read.stdout == "shared\nx\nuser\n")
            for sandbox in [one, two] { try await engine.provider.destroy(sandbox.id) }
            let three = try await engine.provider.create(specification(engine, [(folder, "/data")]))
            #expect(try await three.shell("cat /data/file").stdout == "shared\nmore\n")
            try await engine.provider.destroy(three.id)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["file", "own"])
        }
    }

    @Test(needsIdentities) func onlySandboxesWithVolumesHaveTheSameIds() async throws {
        try await withEngine(.namespaces) { engine in
            let grant = try #require(Machine.identities.grant)
            let folder = try volume(engine)
            var ranges: [IdentityRange] = []
            for volumes in [[(folder, "/data")], [(folder, "/data")], []] {
                let sandbox = try await engine.provider.create(specification(engine, volumes))
                let state = try SandboxFolder(root: engine.folder, id: sandbox.id).state()
                ranges.append(try #require(state?.identities))
            }
            #expect(ranges[0] == ranges[1])
            #expect(ranges[0] == IdentityRegister.volumes(grant))
            if grant.ranges > 2 { #expect(ranges[0].users != ranges[2].users) }
            let deep = try await engine.provider.create(specification(engine, [(folder, "/data")]))
            #expect(
                try await deep.shell("sudo sh -c 'echo root >/data/r; chown 7:8 /data/r'; stat -c %u:%g /data/r").stdout
                    == "7:8\n")
            var status = stat()
            #expect(lstat("\(folder)/r", &status) == 0)
            #expect(status.st_uid == ranges[0].users + 7)
        }
    }

    @Test(needsIdentities) func aVolumeOfOtherIdsIsRefused() async throws {
        try await withEngine(.namespaces, identities: { IdentityOffer.refused }) { engine in
            let folder = try volume(engine)
            let alone = try await engine.provider.create(specification(engine, [(folder, "/data")]))
            #expect(try await alone.shell("echo x >/data/x && stat -c %u /data/x").stdout == "1000\n")
            let granted = LocalProvider(
                folder: engine.folder, agent: try #require(Machine.agent), isolation: .namespaces, client: engine.client
            )
            let error = await #expect(throws: BerthError.self) {
                try await granted.create(specification(engine, [(folder, "/data")]))
            }
            #expect(error?.code == .conflict)
        }
    }

    @Test(needsAgent) func rungsThatShareTheHostHaveNoVolumes() async throws {
        try await withEngine(.process) { engine in
            let folder = try volume(engine)
            let error = await #expect(throws: BerthError.self) {
                try await engine.provider.create(specification(engine, [(folder, "/data")]))
            }
            #expect(error?.code == .usage)
            #expect((try? FileManager.default.contentsOfDirectory(atPath: engine.folder))?.isEmpty ?? true)
        }
    }

    @Test(arguments: [
        "/", "relative", "/a/../b", "/a//b", "/proc", "/proc/1", "/dev/shm", "/sys", "/etc/x", "/run/e2b", "/usr/x",
        "/bin",
        "/opt", "/opt/berth/agent", "/home", "/home/user", "/tmp", "/root", "/weights", "/weights/a", "/taken/below",
    ])
    func noVolumeHidesWhatTheSystemNeeds(_ target: String) {
        var specification = SandboxSpecification(
            id: "a", labels: SandboxLabels(deployment: "", nonce: "", rollout: ""),
            mounts: [.init(source: "/x", target: "/weights")])
        specification.volumes = [.init(source: "/v", target: "/taken"), .init(source: "/w", target: target)]
        let error = #expect(throws: BerthError.self) { try VolumeRules.check(specification, on: .namespaces) }
        #expect(error?.code == .usage)
    }

    @Test func volumesMayBeBelowTheHomeAndAnywhereElse() throws {
        var specification = SandboxSpecification(
            id: "a", labels: SandboxLabels(deployment: "", nonce: "", rollout: ""))
        specification.volumes = ["/data", "/mnt/x/y", "/home/user/app", "/tmp/x", "/root/x", "/opt/own", "/homely"].map
        {
            .init(source: "/v", target: $0)
        }
        try VolumeRules.check(specification, on: .namespaces)
    }
}
