import BerthTestSupport
import CurlClient
import DeploymentCore
import E2BProtocol
import Foundation
import Glibc
import LocalSandbox
import Sandboxes
import Testing

@testable import HostedSandboxes

@Suite struct SnapshotTests {
    /// Everything that a file can be, and how it is told whether it still is so.
    private static let plant = #"""
        set -e
        cd /home/user
        mkdir -p deep/er; echo hello > deep/er/a.txt; ln deep/er/a.txt hard; ln -s ../nowhere dangling
        ln -s deep/er/a.txt link; chmod 4751 deep/er/a.txt; mkfifo pipe; touch $'\xff\xfe name'
        truncate -s 50M hole; printf end >> hole; touch -d '2001-02-03 04:05:06.789' old; mkdir empty; chmod 700 empty
        printf x > '-rf'; printf y > $'new\nline'; echo tmp > /tmp/scratch; mkdir -m 1777 shared
        rmdir app
        """#
    private static let look = #"""
        cd /home/user
        find . /tmp/scratch -printf '%p|%y|%m|%u|%s|%n|%l|%T@\n' | grep -v '^\./\?|' | LC_ALL=C sort | base64 -w0
        echo; find . -printf '%p %y %m %u %s %n\n' | LC_ALL=C sort; cat deep/er/a.txt; stat -c %i deep/er/a.txt hard | uniq | wc -l; du -k hole | cut -f1
        """#

    @Test(needsImageAgent, needsImageNamespaces)
    func sandboxOfASnapshotHasTheSameFilesToTheLastBit() async throws {
        try await withImages { bench in
            let sandbox = try await bench.sandboxes.create(try await ImageBench.base())
            try await sandbox.script(Self.plant)
            let before = try await sandbox.script(Self.look)
            let taken = try await bench.snapshots.take(sandbox.id, SnapshotRequest())
            #expect(taken.names.isEmpty)
            #expect(taken.snapshot.hasSuffix(":default"))
            let other = try await bench.sandboxes.create(try await bench.images.image(taken.snapshot))
            #expect(try await other.script(Self.look) == before)
            // A hole takes no room, neither there nor in the archive.
            #expect(Int(before.split(separator: "\n").last ?? "") ?? 1 << 20 < 1024)
            let size =
                try FileManager.default.attributesOfItem(
                    atPath: "\(bench.images.archives.folder)/\(bench.archives()[0])")[.size] as? Int
            #expect(size ?? .max < 1 << 20)
            // The snapshot is its own: what happens to the first sandbox later does not reach it.
            try await sandbox.script("rm -rf /home/user/deep")
            let third = try await bench.sandboxes.create(try await bench.images.image(taken.snapshot))
            #expect(try await third.script(Self.look) == before)
        }
    }

    @Test(needsImageAgent, needsImageNamespaces, needsImageRoot)
    func ownersAndFilesOfRootSurvive() async throws {
        try await withImages { bench in
            let sandbox = try await bench.sandboxes.create(try await ImageBench.base())
            try await sandbox.script(
                "echo secret > /root/.key; chmod 600 /root/.key; echo r > /home/user/ofroot; chmod 640 /home/user/ofroot",
                as: "root")
            let taken = try await bench.snapshots.take(sandbox.id, SnapshotRequest(name: "Owned"))
            #expect(taken.snapshot == "default/owned:default")
            let other = try await bench.sandboxes.create(try await bench.images.image(taken.snapshot))
            #expect(
                try await other.script("stat -c '%U %G %a' /root/.key /home/user/ofroot /home/user", as: "root")
                    == "root root 600\nroot root 640\nuser user 755\n")
            await #expect(throws: BerthError.self) { try await other.script("cat /root/.key") }
        }
    }

    @Test(needsImageAgent, needsImageNamespaces)
    func metadataOfFilesSurvives() async throws {
        try await withImages { bench in
            let sandbox = try await bench.sandboxes.create(try await ImageBench.base())
            let set =
                "import os; open('/home/user/m','w').close(); os.setxattr('/home/user/m','user.e2b.kind',b'model')"
            guard (try? await sandbox.script("/usr/bin/python3 -c \"\(set)\"")) != nil else {
                // The file system of this machine, or its Python, has no attributes to lose.
                return
            }
            let taken = try await bench.snapshots.take(sandbox.id, SnapshotRequest())
            let other = try await bench.sandboxes.create(try await bench.images.image(taken.snapshot))
            let get = "import os; print(os.getxattr('/home/user/m','user.e2b.kind').decode())"
            #expect(try await other.script("/usr/bin/python3 -c \"\(get)\"") == "model\n")
        }
    }

    @Test(needsImageAgent)
    func filesSurviveWithoutNamespacesToo() async throws {
        try await withImages(.process) { bench in
            let sandbox = try await bench.sandboxes.create(try await ImageBench.base())
            let home = String(sandbox.appFolder.dropLast("/app".count))
            try await sandbox.script(
                "cd '\(home)'; mkdir d; echo one > d/f; ln -s ./d/f link; ln d/f hard; chmod 640 d/f")
            let taken = try await bench.snapshots.take(sandbox.id, SnapshotRequest())
            let other = try await bench.sandboxes.create(try await bench.images.image(taken.snapshot))
            let there = String(other.appFolder.dropLast("/app".count))
            #expect(there != home)
            #expect(
                try await other.script("cd '\(there)'; cat link; readlink link; stat -c '%a %h' d/f")
                    == "one\n./d/f\n640 2\n")
        }
    }

    @Test(needsImageAgent, needsImageNamespaces)
    func runningProcessesAreRefusedByNameUnlessOnlyFilesAreAskedFor() async throws {
        try await withImages { bench in
            let sandbox = try await bench.sandboxes.create(try await ImageBench.base())
            let agent = try #require(sandbox.agent)
            let sleeper = try await agent.start(
                ProcessSpecification(tag: "", command: ["/bin/sleep", "1000"], workingDirectory: "/"))
            // One that its starter left behind, which the agent does not list any more.
            try await sandbox.script("nohup tail -f /dev/null > /dev/null 2>&1 & echo kept > /home/user/f")
            let failure = await #expect(throws: ControlFailure.self) {
                try await bench.snapshots.take(sandbox.id, SnapshotRequest(name: "live"))
            }
            #expect(failure?.code == 409)
            #expect(failure?.message.contains("sleep (\(sleeper.pid))") == true)
            #expect(failure?.message.contains("tail (") == true)
            #expect(failure?.message.contains("memory: false") == true)
            let forks = await #expect(throws: ControlFailure.self) {
                try await bench.snapshots.fork(sandbox.id, ForkRequest())
            }
            #expect(forks?.code == 409)
            #expect(bench.archives() == [])

            let taken = try await bench.snapshots.take(sandbox.id, SnapshotRequest(name: "live", keepsMemory: false))
            // They went on, and nobody was left stopped.
            let states = try await sandbox.script(
                "cat /proc/[0-9]*/stat | grep -E '\\((sleep|tail)\\)' | cut -d' ' -f3")
            #expect(states == "S\nS\n")
            let other = try await bench.sandboxes.create(try await bench.images.image(taken.snapshot))
            #expect(try await other.script("cat /home/user/f") == "kept\n")
            try await sleeper.signal(SIGKILL)
        }
    }

    @Test(needsImageAgent, needsImageNamespaces)
    func startCommandOfTheImageIsNoHindrance() async throws {
        try await withImages { bench in
            let sandbox = try await bench.sandboxes.create(try await ImageBench.base())
            let agent = try #require(sandbox.agent)
            let start = try await agent.start(
                ProcessSpecification(
                    tag: SandboxImage.startTag, command: ["/bin/sh", "-c", "sleep 1000 & echo up; wait"],
                    workingDirectory: "/"))
            for try await event in start.events { if case .stdout = event { break } }
            _ = try await bench.snapshots.take(sandbox.id, SnapshotRequest())
            let states = try await sandbox.script("cat /proc/[0-9]*/stat | grep -F '(sleep)' | cut -d' ' -f3")
            #expect(states == "S\n")
        }
    }

    @Test(needsImageAgent, needsImageNamespaces)
    func forksAreSeparateAndOneFailureIsItsOwn() async throws {
        try await withImages { bench in
            let sandbox = try await bench.sandboxes.create(try await ImageBench.base())
            try await sandbox.script("echo shared > /home/user/f; echo volatile > /dev/shm/f")
            bench.sandboxes.failing.withLock { $0 = [1] }
            let results = try await bench.snapshots.fork(sandbox.id, ForkRequest(timeout: 60, count: 3))
            let ids = results.compactMap { result in
                if case .sandbox(let handle) = result { handle.sandbox } else { nil }
            }
            #expect(Set(ids).count == 2)
            #expect(
                results.contains { result in
                    if case .failure(let failure) = result { failure.code == 503 } else { false }
                })
            for id in ids {
                let fork = try await bench.sandboxes.provider.adopt(id)
                #expect(
                    try await fork.script("cat /home/user/f /dev/shm/f; echo \(id) > /home/user/f")
                        == "shared\nvolatile\n")
            }
            #expect(try await sandbox.script("cat /home/user/f") == "shared\n")
            // A fork keeps no files beside those of its sandboxes.
            #expect(bench.archives() == [])
        }
    }

    @Test(needsImageAgent, needsImageNamespaces)
    func snapshotsAreListedPagedFoundByNameAndDeletedWithTheirFiles() async throws {
        try await withImages { bench in
            let sandbox = try await bench.sandboxes.create(try await ImageBench.base())
            for number in 0..<3 {
                try await sandbox.script("echo \(number) > /home/user/n")
                _ = try await bench.snapshots.take(sandbox.id, SnapshotRequest(name: "s\(number)"))
            }
            let first = try bench.snapshots.list(sandbox: sandbox.id, name: nil, limit: 2, after: nil)
            #expect(first.page.map(\.snapshot) == ["default/s2:default", "default/s1:default"])
            let second = try bench.snapshots.list(sandbox: sandbox.id, name: nil, limit: 2, after: first.next)
            #expect(second.page.map(\.snapshot) == ["default/s0:default"])
            #expect(second.next == nil)
            #expect(try bench.snapshots.list(sandbox: nil, name: "S1", limit: 9, after: nil).page.count == 1)
            #expect(try bench.snapshots.list(sandbox: "other", name: nil, limit: 9, after: nil).page.isEmpty)
            #expect(bench.archives().count == 3)
            try await bench.templates.delete("default/s1:default")
            #expect(bench.archives().count == 2)
            let again = await #expect(throws: ControlFailure.self) {
                try await bench.templates.delete("default/s1:default")
            }
            #expect(again?.code == 404)
            // The same name again takes the place of the first.
            try await sandbox.script("echo new > /home/user/n")
            _ = try await bench.snapshots.take(sandbox.id, SnapshotRequest(name: "s2"))
            #expect(bench.archives().count == 2)
            let other = try await bench.sandboxes.create(try await bench.images.image("s2"))
            #expect(try await other.script("cat /home/user/n") == "new\n")
            #expect(bench.sandboxes.notes.withLock { $0.count } == 4)
        }
    }

    @Test(needsImageAgent, needsImageNamespaces)
    func fullDiskLeavesNothingAndTheSandboxGoesOn() async throws {
        let written = Locked(0)
        try await withImages(write: { descriptor, bytes in
            let isFull = written.withLock { count in
                count += bytes.count
                return count > 200_000
            }
            guard !isFull else {
                errno = ENOSPC
                return -1
            }
            return Glibc.write(descriptor, bytes.baseAddress, bytes.count)
        }) { bench in
            let sandbox = try await bench.sandboxes.create(try await ImageBench.base())
            try await sandbox.script("head -c 1000000 /dev/urandom > /home/user/big")
            let failure = await #expect(throws: ControlFailure.self) {
                try await bench.snapshots.take(sandbox.id, SnapshotRequest(name: "big"))
            }
            #expect(failure?.code == 503)
            #expect(bench.archives() == [])
            #expect(try bench.snapshots.list(sandbox: nil, name: nil, limit: 9, after: nil).page.isEmpty)
            // tar was ended with it.
            let held = try HeldSandbox(sandbox, image: try await ImageBench.base())
            #expect(try await ProcessCensus.take(held).users == [])
        }
    }

    @Test(needsImageAgent, needsImageNamespaces)
    func damagedArchiveIsAnErrorAndNoHalfSandbox() async throws {
        try await withImages { bench in
            let sandbox = try await bench.sandboxes.create(try await ImageBench.base())
            try await sandbox.script("head -c 1000000 /dev/urandom > /home/user/big")
            let taken = try await bench.snapshots.take(sandbox.id, SnapshotRequest())
            let image = try await bench.images.image(taken.snapshot)
            #expect(truncate(try #require(image.archive), 300_000) == 0)
            await #expect(throws: BerthError.self) { try await bench.sandboxes.create(image) }
            #expect(unlink(try #require(image.archive)) == 0)
            let failure = await #expect(throws: ControlFailure.self) { try await bench.images.image(taken.snapshot) }
            #expect(failure?.message.contains("are gone") == true)
        }
    }

    @Test(needsImageAgent, needsImageNamespaces)
    func noSandboxIsNotFoundAndABadNameABadRequest() async throws {
        try await withImages { bench in
            let missing = await #expect(throws: ControlFailure.self) {
                try await bench.snapshots.take("inothing", SnapshotRequest())
            }
            #expect(missing?.code == 404)
            for name in ["a b", "base", "other/name", "x:y:z", "../x"] {
                let failure = await #expect(throws: ControlFailure.self) {
                    try await bench.snapshots.take("inothing", SnapshotRequest(name: name))
                }
                #expect(failure?.code == 400, "\(name)")
            }
        }
    }
}
