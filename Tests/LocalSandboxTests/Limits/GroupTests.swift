import BerthTestSupport
import DeploymentCore
import Foundation
import Glibc
import Sandboxes
import Testing

@testable import LocalSandbox

/// Control groups: where they are, what is written into them, and that none is left.
@Suite struct GroupTests {
    private let limits = SandboxLimits(memory: 1 << 30, cpu: 1.5, processes: 64)

    @Test func hierarchiesOfAHybridHostAreFound() {
        let mounts = GroupMounts(
            mountInfo: """
                22 1 0:20 / /sys rw,nosuid - sysfs sysfs rw
                30 22 0:26 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate
                31 22 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
                32 22 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
                33 22 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
                """,
            ownGroups: """
                9:name=systemd:/x
                4:memory:/user/me
                2:cpu,cpuacct:/
                0::/user.slice/me.scope
                """
        ).mounts
        #expect(mounts.map(\.version) == [2, 1, 1])
        #expect(
            mounts.map(\.own) == [
                "/sys/fs/cgroup/unified/user.slice/me.scope", "/sys/fs/cgroup/memory/user/me",
                "/sys/fs/cgroup/cpu,cpuacct",
            ])
        #expect(mounts.map(\.controllers) == [[], [.memory], [.cpu, .cpuacct]])
    }

    @Test func mountOfAPartShowsTheGroupBelowIt() {
        let groups = "0::/docker/abc/inner\n"
        let line = { (root: String) in "30 22 0:26 \(root) /sys/fs/cgroup ro - cgroup2 cgroup rw" }
        #expect(
            GroupMounts(mountInfo: line("/docker/abc"), ownGroups: groups).mounts.map(\.own)
                == ["/sys/fs/cgroup/inner"])
        #expect(GroupMounts(mountInfo: line("/other"), ownGroups: groups).mounts.map(\.own) == ["/sys/fs/cgroup"])
        #expect(GroupMounts(mountInfo: "garbage - cgroup2", ownGroups: groups).mounts.isEmpty)
        #expect(GroupMounts(mountInfo: "", ownGroups: "").mounts.isEmpty)
    }

    @Test func limitsAreWrittenAsEachVersionReadsThem() {
        let second = GroupFolder(version: 2, controllers: [.memory, .pids, .cpu], path: "/x")
        #expect(
            SandboxGroup.settings(limits, in: second).map { "\($0.name)=\($0.value)" } == [
                "memory.max=1073741824", "memory.swap.max=1073741824", "pids.max=64", "cpu.max=150000 100000",
            ])
        let memory = GroupFolder(version: 1, controllers: [.memory], path: "/x")
        #expect(
            SandboxGroup.settings(limits, in: memory).map { "\($0.name)=\($0.value)" } == [
                "memory.limit_in_bytes=1073741824", "memory.memsw.limit_in_bytes=2147483648",
            ])
        let cpu = GroupFolder(version: 1, controllers: [.cpu, .cpuacct], path: "/x")
        #expect(
            SandboxGroup.settings(limits, in: cpu).map { "\($0.name)=\($0.value)" } == [
                "cpu.cfs_period_us=100000", "cpu.cfs_quota_us=150000",
            ])
        let nothing = GroupFolder(version: 2, controllers: [], path: "/x")
        #expect(SandboxGroup.settings(limits, in: nothing).isEmpty)
        #expect(SandboxGroup.settings(SandboxLimits(), in: second).map(\.name) == ["pids.max"])
    }

    @Test func countersOfVersion2AreRead() async throws {
        try await withTemporaryFolder { path in
            let files = [
                "memory.current": "5000000\n", "memory.peak": "9000000\n", "cgroup.procs": "7\n9\n",
                "memory.stat": "anon 100\nfile 2000000\nfile_mapped 5\ninactive_file 1000000\nactive_file 3\n",
                "memory.events": "low 0\noom 3\noom_kill 2\n", "pids.events": "max 4\n",
                "cpu.stat": "usage_usec 1500000\nuser_usec 1\n",
            ]
            for (name, text) in files { try SandboxFolder.write(Array(text.utf8), to: "\(path)/\(name)") }
            let folder = GroupFolder(version: 2, controllers: [.memory, .pids, .cpu], path: path)
            var group = SandboxGroup(bases: [], engine: "", id: "")
            group.folders = [folder]
            #expect(group.cpuSeconds == 1.5)
            #expect(group.memoryBytes == 4_000_000)
            #expect(group.memoryCacheBytes == 2_000_000)
            #expect(group.memoryPeakBytes == 9_000_000)
            #expect(group.memoryKills == 2)
            #expect(group.refusedProcesses == 4)
            #expect(group.members == [7, 9])
            group.folders = []
            #expect(group.cpuSeconds == nil)
            #expect(group.memoryBytes == nil)
            #expect(group.memoryKills == nil)
        }
    }

    @Test func groupsOfOneEngineShareAName() {
        let bases = [GroupFolder(version: 2, controllers: [], path: "/g")]
        let path = SandboxGroup(bases: bases, engine: "/var/berth", id: "abc").folders.map(\.path).joined()
        #expect(path.hasPrefix("/g/" + SandboxGroup.prefix(engine: "/var/berth")))
        #expect(path.hasSuffix("-abc"))
        #expect(SandboxGroup.prefix(engine: "/var/berth") != SandboxGroup.prefix(engine: "/var/other"))
        #expect(SandboxGroup.prefix(engine: "/var/berth").utf8.count == 15)
    }

    @Test(needsAgent, arguments: Machine.hosts.filter { $0 != .none })
    func firstProcessIsInTheGroupAndLeftoversAreFound(_ host: Host) async throws {
        try await withEngine(Machine.strongest, enforcement: host.enforcement) { engine in
            let sandbox = try await engine.sandbox()
            let state = try #require(try engine.provider.sandboxFolder(sandbox.id).state())
            let group = try #require(state.group)
            #expect(!group.folders.isEmpty)
            for folder in group.folders { #expect(folder.members.contains(try #require(state.process).pid)) }
            // A group without a folder is what a crash leaves behind.
            let base = host.groups.bases
            let orphan = SandboxGroup(bases: base, engine: engine.folder, id: "orphan")
            try orphan.make(SandboxLimits())
            let child = try Child.spawn(
                ["/bin/sleep", "600"], environment: [:], folder: "/", descriptors: [], entrance: try orphan.entrance())
            SandboxGroup.sweep(bases: base, engine: engine.folder) { $0 == sandbox.id }
            #expect(child.wait(limit: .seconds(5)) == .signalled(9))
            for folder in orphan.folders { #expect(!KernelFile.exists(folder.path)) }
            for folder in group.folders { #expect(KernelFile.exists(folder.path)) }
        }
    }

    @Test(arguments: Machine.hosts.filter { $0 != .none })
    func spawnedChildHasOnlyItsDescriptorsAndReportsFailure(_ host: Host) async throws {
        try await withTemporaryFolder { folder in
            let group = SandboxGroup(bases: host.groups.bases, engine: folder, id: "spawn")
            try group.make(SandboxLimits())
            defer { try? group.remove(until: .now + .seconds(5)) }
            let output = try Descriptor(opening: "\(folder)/out", flags: O_RDWR | O_CREAT)
            let child = try Child.spawn(
                ["/bin/sh", "-c", "echo /proc/self/fd/*; pwd; trap"], environment: ["A": "b"], folder: folder,
                descriptors: [(output, 1)], entrance: try group.entrance())
            #expect(child.wait(limit: .seconds(5)) == .exited(code: 0))
            let text = String(decoding: try SandboxFolder.read("\(folder)/out", limit: 1000) ?? [], as: UTF8.self)
            #expect(text.split(separator: "\n").first?.split(separator: " ").count ?? 9 <= 4)
            #expect(text.contains((folder as NSString).lastPathComponent))
            let error = #expect(throws: BerthError.self) {
                try Child.spawn(
                    ["\(folder)/missing"], environment: [:], folder: "/", descriptors: [],
                    entrance: try group.entrance())
            }
            #expect(error?.message == "\(folder)/missing cannot be started: No such file or directory")
        }
    }
}
