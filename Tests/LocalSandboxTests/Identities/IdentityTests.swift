import CPlatform
import DeploymentCore
import Foundation
import Glibc
import Sandboxes
import Testing

@testable import LocalSandbox

@Suite(needsIdentities) struct IdentityTests {
    /// The real, effective, saved and file user ids of a process, as the host numbers them.
    private func users(_ pid: Int32) -> Set<UInt32> {
        let status = KernelFile.text("/proc/\(pid)/status") ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("Uid:") } ?? ""
        return Set(line.split(whereSeparator: \.isWhitespace).compactMap { UInt32($0) })
    }

    @Test func everybodyInsideIsNobodyOutside() async throws {
        try await withEngine(.namespaces) { engine in
            let sandbox = try await engine.sandbox()
            let process = try await sandbox.start(
                ProcessSpecification(
                    tag: "both", command: ["/bin/sh", "-c", "sudo sh -c 'echo ready; exec sleep 600' & exec sleep 600"])
            )
            try await waitForLine("ready\n", from: process)
            let folder = SandboxFolder(root: engine.folder, id: sandbox.id)
            let state = try #require(try folder.state())
            let range = try #require(state.identities)
            let seen = SandboxProcesses(folder: folder, state: state).all.reduce(into: Set<UInt32>()) {
                $0.formUnion(users($1))
            }
            #expect(seen == [range.users, range.users + IdentityRange.user])
            #expect(range.users >= IdentityRange.count)
            var status = stat()
            #expect(lstat(folder.app, &status) == 0)
            #expect(status.st_uid == range.users + IdentityRange.user)
            #expect(status.st_gid == range.groups + IdentityRange.user)
            #expect(lstat(folder.path, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o700)
            #expect(status.st_uid == getuid())
        }
    }

    @Test func sandboxesHaveDifferentIdsAndGiveThemBack() async throws {
        try await withEngine(.namespaces) { engine in
            let grant = try #require(Machine.identities.grant)
            var ranges: Set<IdentityRange> = []
            for _ in 0..<3 {
                let sandbox = try await engine.sandbox()
                ranges.insert(
                    try #require(try SandboxFolder(root: engine.folder, id: sandbox.id).state()?.identities))
            }
            if grant.ranges > 1 { #expect(ranges.count == 3) }
            try await engine.destroyAll()
            for range in ranges where grant.ranges > 1 {
                #expect(access("\(engine.provider.register.folder)/\(range.users)", F_OK) != 0)
            }
        }
    }

    @Test func idsAreKeptByARestartedControlPlane() async throws {
        try await withEngine(.namespaces) { engine in
            let sandbox = try await engine.sandbox()
            let adopted = try await engine.restarted().adopt(sandbox.id)
            #expect(adopted.ownsIdentities)
            #expect(try await adopted.shell("sudo id -u").stdout == "0\n")
        }
    }

    @Test func filesOfEveryOwnerAreMeasuredAndRemoved() async throws {
        try await withEngine(.namespaces) { engine in
            let sandbox = try await engine.sandbox()
            let output = try await sandbox.shell(
                """
                sudo sh -c 'mkdir closed; head -c 3000000 /dev/zero >closed/file; chown -R 4242:4242 closed; chmod 000 closed'
                mkdir own; head -c 3000000 /dev/zero >own/file; chmod 000 own; echo done
                """)
            #expect(output.stdout == "done\n")
            let statistics = try await sandbox.statistics()
            // A plain user is told that some of it cannot be seen.
            #expect(statistics.diskIsPartial == (getuid() != 0))
            if getuid() == 0 { #expect(statistics.diskBytes >= 6_000_000) }
            try await engine.provider.destroy(sandbox.id)
            #expect(access("\(engine.folder)/\(sandbox.id)", F_OK) != 0)
        }
    }

    /// The filter refuses them too, so that it is left out here.
    @Test func namespacesCannotBeMadeEvenWithoutTheFilter() throws {
        let grant = try #require(Machine.identities.grant)
        let program = try #require(BubblewrapCommand.find())
        let output = Descriptor(try check(berth_memory_file("berth-test"), "no memory file"))
        let stage = Stage(
            namespace: try UserNamespace.open(grant.range(0), needsHelpers: grant.needsHelpers), folder: "/", made: [],
            sources: [])
        let walls = BubblewrapCommand(program: program, hasIdentities: true).trial()
        let bare = walls.prefix { $0 != "--seccomp" } + ["--", "/usr/bin/unshare", "--user", "/bin/true"]
        let child = try Child.spawn(Array(bare), environment: [:], descriptors: [(output, 2)], stage: stage)
        #expect(child.wait(limit: .seconds(10)) == .exited(code: 1))
        #expect(NamespaceTrial.text(output).contains("No space left on device"))
    }

    @Test(needsPython) func agentSurvivesAbuseOfTheSudoSocket() async throws {
        try await withEngine(.namespaces) { engine in
            let sandbox = try await engine.sandbox()
            let script = """
                import array, os, socket, struct
                def ask(*parts, fds=(), ends=True):
                    with socket.socket(socket.AF_UNIX) as agent:
                        agent.connect("\\0berth-sudo")
                        agent.settimeout(20)
                        try:
                            for part in parts:
                                agent.sendmsg([part], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
                        except BrokenPipeError: pass
                        if ends: agent.shutdown(socket.SHUT_WR)
                        try: return agent.recv(200)[:1].decode()
                        except ConnectionResetError: return "reset"
                def message(*texts):
                    body = b"".join(text + b"\\0" for text in texts)
                    return struct.pack(">I", len(body)) + body
                null = os.open("/dev/null", os.O_RDWR)
                four = [null] * 3 + [os.open("/", os.O_RDONLY)]
                good = message(b"root", b"", b"1", b"/bin/true")
                print(ask(b"", b"x" * 3), ask(struct.pack(">I", 0xffffffff)), ask(struct.pack(">I", 2 << 20), b"y" * 4096))
                print(ask(good), ask(good, fds=[null] * 3), ask(good + b"more", fds=four))
                print(ask(message(b"root", b"", b"9", b"/bin/true"), fds=four), ask(message(b"root", b"", b"-1", b"x"), fds=four))
                print(ask(message(b"\\xff", b"", b"1", b"x"), fds=four), ask(message(b"root", b"", b"1", b"x", b"=y"), fds=four))
                print("".join(ask(*[b"\\0\\0\\1\\0"] + [b"z"] * 40, fds=[null] * 250) for _ in range(8)))
                print(ask(message(b"root", b"s", b"1", b"/bin/true"), fds=four, ends=False))
                """
            let process = try await sandbox.start(
                ProcessSpecification(tag: "abuse", command: ["/usr/bin/python3", "-I", "-S", "-c", script]))
            let abuse = try await output(of: process)
            let lines = abuse.stdout.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            #expect(abuse.status == .exited(code: 0), "\(abuse.stderr)")
            // Nothing of it became a command but the last.
            #expect(!lines.dropLast(2).joined().contains("E"), "\(abuse.stdout)")
            #expect(lines.dropLast().last == "E", "\(abuse.stdout)")
            // Nobody but the user and root, not even one that root has made.
            let stranger = try await sandbox.shell(
                "sudo /usr/bin/python3 -c 'import os; os.setresuid(5, 5, 5); os.execvp(\"sudo\", [\"sudo\", \"id\"])'")
            #expect(stranger.stderr.contains("only user and root may use sudo"))
            #expect(try await sandbox.shell("sudo id -u").stdout == "0\n")
        }
    }

    @Test(needsPython) func portOfACommandOfSudoIsItsStarters() async throws {
        try await withEngine(.namespaces) { engine in
            let sandbox = try await engine.sandbox()
            let script = """
                import socket, time
                listener = socket.create_server(("127.0.0.1", 80))
                print("listening", flush=True)
                time.sleep(600)
                """
            let process = try await sandbox.start(
                ProcessSpecification(tag: "web", command: ["/usr/bin/env", "sudo", "/usr/bin/python3", "-c", script]))
            try await waitForLine("listening\n", from: process)
            #expect(try await sandbox.listeners().first { $0.port == 80 }?.tag == "web")
        }
    }

    @Test func closedSourcesAreRefusedWithTheRemedy() async throws {
        try await withEngine(.namespaces) { engine in
            _ = try await engine.provider.list()
            let source = engine.folder + ".model"
            try SandboxFolder.write([1], to: source, mode: 0o600)
            let error = await #expect(throws: BerthError.self) {
                _ = try await engine.sandbox([.init(source: source, target: "/opt/model")])
            }
            #expect(error?.message.contains("closed to others") ?? false, "\(String(describing: error))")
        }
    }
}

struct IdentityGrantTests {
    private func grant(
        user: UInt32 = 1001, name: String? = "ada", subuid: String = "", map: String = "0 0 4294967295"
    ) -> IdentityGrant? {
        IdentityGrant.find(user: user, name: name, subuid: subuid, subgid: subuid, userMap: map, groupMap: map)
    }

    @Test func plainUserHasWhatTheFilesSay() {
        #expect(grant() == nil)
        #expect(grant(subuid: "bob:100000:65536\n") == nil)
        #expect(grant(subuid: "ada:100000:1000\n") == nil)
        #expect(grant(subuid: "ada:0:65536\n") == nil)
        #expect(grant(subuid: "ada:4294967000:65536\nada:x:y\nada:1\n") == nil)
        let one = grant(subuid: "bob:1:2\nada:100000:65536\n")
        #expect(one?.range(0) == IdentityRange(users: 100_000, groups: 100_000, isShared: true))
        #expect(one?.needsHelpers == true)
        let two = grant(subuid: "1001:200000:131072\n")
        #expect(two?.ranges == 2)
        #expect(two?.range(1) == IdentityRange(users: 265_536, groups: 265_536, isShared: false))
    }

    @Test func rootHasUnusedIdsUnlessTheyDoNotExist() {
        #expect(grant(user: 0, name: "root")?.users == IdentityGrant.rootSpan)
        #expect(grant(user: 0, name: "root")?.ranges == 4096)
        #expect(grant(user: 0, name: "root", map: "         0     100000      65536") == nil)
        let named = grant(user: 0, name: "root", subuid: "root:500000:65536\n")
        #expect(named?.users.first == 500_000)
        #expect(named?.needsHelpers == false)
    }

    @Test func rangesAreTakenOnceAndFoundAgainWhenTheirSandboxIsGone() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "berth-ids-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let register = IdentityRegister(folder: folder)
        let grant = IdentityGrant(
            users: .init(first: 100_000, count: 131_072), groups: .init(first: 100_000, count: 131_072),
            needsHelpers: false)
        let first = try register.claim(grant, for: "/nonexistent/a")
        let second = try register.claim(grant, for: "/")
        #expect(first != second)
        let error = #expect(throws: BerthError.self) { _ = try register.claim(grant, for: "/nonexistent/c") }
        #expect(error?.message.contains("all 2 ranges") ?? false)
        // Only its own sandbox gives a range back.
        register.release(first, of: "/nonexistent/c")
        #expect(access("\(folder)/\(first.users)", F_OK) == 0)
        // Old, and of a sandbox that does not exist: left by a crash.
        var times = [timeval(tv_sec: 1, tv_usec: 0), timeval(tv_sec: 1, tv_usec: 0)]
        for range in [first, second] { utimes("\(folder)/\(range.users)", &times) }
        #expect(try register.claim(grant, for: "/nonexistent/c") == first)
        register.release(first, of: "/nonexistent/c")
        register.release(second, of: "/")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
    }
}
