import CPlatform
import DeploymentCore
import Foundation
import Glibc
import Sandboxes
import Testing

@testable import LocalSandbox

/// What gVisor differs by.
@Suite(needsGvisor, needsPython) struct GvisorTests {
    @Test func inhabitantHasAKernelOfItsOwnAndNoPowers() async throws {
        try await withEngine(.gvisor) { engine in
            let sandbox = try await engine.sandbox()
            let home = FileManager.default.homeDirectoryForCurrentUser.path
            let output = try await sandbox.shell(
                """
                cat /proc/version; whoami; hostname; grep -E '^Cap(Eff|Bnd)' /proc/self/status; ulimit -c; cd; echo * .[a-z]*
                for path in \(home) \(engine.folder) /var /root /etc/shadow /runsc /rootfs; do [ -e $path ] && echo "sees $path"; done
                for folder in / /usr /etc /opt /opt/models /opt/berth /bin; do touch $folder/x 2>/dev/null && echo "wrote $folder"; done
                touch /tmp/x /run/x ~/x && echo private
                """)
            let lines = output.stdout.split(separator: "\n").map(String.init)
            #expect(lines.first != KernelFile.text("/proc/version"))
            let none = "0000000000000000"
            #expect(
                lines.dropFirst().map { $0.split(whereSeparator: \.isWhitespace).joined() } == [
                    "user", "demo", "CapEff:\(none)", "CapBnd:\(none)", "0", "app.[a-z]*", "private",
                ])
        }
    }

    // Whoever could put another socket in its place would answer for the agent.
    @Test func agentsSocketIsOutOfReach() async throws {
        try await withEngine(.gvisor) { engine in
            let sandbox = try await engine.sandbox()
            let folder = engine.provider.sandboxFolder(sandbox.id)
            var status = stat()
            #expect(lstat("\(folder.path)/\(SandboxFolder.socketName)", &status) == 0)
            #expect(status.st_mode & S_IFMT == S_IFSOCK)
            #expect(lstat("\(folder.home)/\(GvisorCommand.doorName)", &status) != 0)
            let name = "~/\(GvisorCommand.doorName)"
            let output = try await sandbox.shell("[ -e \(name) ] && echo there; mkdir \(name) && echo made")
            #expect(output.stdout == "made\n")
            #expect(try await sandbox.shell("echo still here").stdout == "still here\n")
        }
    }

    @Test func endOfOneDirectionIsPassedOnAndNothingIsLost() async throws {
        try await withEngine(.gvisor) { engine in
            let sandbox = try await engine.sandbox()
            let program = """
                import os, socket
                server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
                print("listening", flush=True)
                connection, _ = server.accept()
                count = 0
                while part := connection.recv(1 << 16): count += len(part)
                # More than all buffers on the way hold, before anybody reads.
                connection.sendall(b"%08d" % count + bytes(count))
                """
            let process = try await sandbox.start(
                ProcessSpecification(
                    tag: "count", command: ["/usr/bin/python3", "-c", program],
                    environment: ["PORT": "\(sandbox.port)"]))
            try await waitForLine("listening\n", from: process)
            let volume = 8 << 20
            let socket = Descriptor(try await sandbox.connect(port: sandbox.port))
            #expect(fcntl(socket.number, F_GETFL) & O_NONBLOCK == 0)
            let received = try await Blocking.run { () -> [UInt8] in
                let bytes = [UInt8](repeating: 7, count: volume)
                var sent = 0
                while sent < volume {
                    let count = bytes[sent...].withUnsafeBytes { send(socket.number, $0.baseAddress, $0.count, 0) }
                    guard count > 0 else { throw BerthError.system(errno, "sending failed") }
                    sent += count
                }
                shutdown(socket.number, Int32(SHUT_WR))
                var received: [UInt8] = []
                var part = [UInt8](repeating: 0, count: 1 << 16)
                while case let count = read(socket.number, &part, part.count), count > 0 { received += part[..<count] }
                return received
            }
            #expect(received.count == volume + 8)
            #expect(String(decoding: received.prefix(8), as: UTF8.self) == "08388608")
        }
    }

    @Test func manyConnectionsAreOpenAtOnce() async throws {
        try await withEngine(.gvisor) { engine in
            let sandbox = try await engine.sandbox()
            let program = """
                import os, socket
                server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=256)
                print("listening", flush=True)
                kept = []
                while True: kept.append(server.accept())
                """
            let process = try await sandbox.start(
                ProcessSpecification(
                    tag: "many", command: ["/usr/bin/python3", "-c", program], environment: ["PORT": "\(sandbox.port)"])
            )
            try await waitForLine("listening\n", from: process)
            let sockets = try await withThrowingTaskGroup(of: Descriptor.self) { group in
                for _ in 0..<100 {
                    group.addTask { Descriptor(try await sandbox.connect(port: sandbox.port)) }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(sockets.count == 100)
            let refusal = await #expect(throws: PortRefused.self) { _ = try await sandbox.connect(port: 1) }
            #expect(refusal?.port == 1)
        }
    }

    @Test func socketInsideIsReachedByItsPath() async throws {
        try await withEngine(.gvisor) { engine in
            let sandbox = try #require(try await engine.sandbox() as? EmbeddedSandbox)
            let program = """
                import socket
                server = socket.socket(socket.AF_UNIX)
                server.bind("/home/user/app/own.sock")
                server.listen()
                print("listening", flush=True)
                server.accept()[0].sendall(b"inside")
                """
            let process = try await sandbox.start(
                ProcessSpecification(tag: "unix", command: ["/usr/bin/python3", "-c", program]))
            try await waitForLine("listening\n", from: process)
            let socket = Descriptor(try await sandbox.connect(socket: "/home/user/app/own.sock"))
            let word = try await Blocking.run { () -> String in
                var bytes = [UInt8](repeating: 0, count: 6)
                let count = recv(socket.number, &bytes, bytes.count, Int32(MSG_WAITALL))
                return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
            }
            #expect(word == "inside")
            await #expect(throws: BerthError.self) { _ = try await sandbox.connect(socket: "/home/user/none.sock") }
        }
    }

    @Test func modelThatComesLaterIsSeenAndCannotBeChanged() async throws {
        try await withEngine(.gvisor) { engine in
            let sandbox = try await engine.sandbox()
            let source = engine.folder + ".model"
            try SandboxFolder.write(Array("weights".utf8), to: source)
            #expect(try await sandbox.shell("echo /opt/models/*").stdout == "/opt/models/*\n")
            let labels = SandboxLabels(deployment: "demo", nonce: "later", rollout: "later")
            let mount = SandboxSpecification.Mount(source: source, target: "/home/user/app/m.bin")
            let links = try await engine.provider.assign(sandbox.id, labels: labels, models: [mount])
            let path = try #require(links[mount.target])
            let output = try await sandbox.shell("cat \(path); echo changed > \(path); rm \(path)")
            #expect(output.stdout == "weights")
            #expect(output.status != .exited(code: 0))
            #expect(try SandboxFolder.read(source, limit: 100) == Array("weights".utf8))
        }
    }

    @Test func terminalHasItsSize() async throws {
        try await withEngine(.gvisor) { engine in
            let sandbox = try await engine.sandbox()
            let process = try await sandbox.start(
                ProcessSpecification(
                    tag: "terminal", command: ["/bin/sh", "-c", "test -t 0 && stty size"],
                    terminal: TerminalSize(columns: 101, rows: 33)))
            let output = try await output(of: process)
            #expect(output.stdout == "33 101\r\n")
            #expect(output.status == .exited(code: 0))
        }
    }

    @Test(.enabled(if: Machine.gvisor.suggestion == nil, "this runsc is old: terminals do not interrupt"))
    func interruptOnTheTerminalReachesTheProgram() async throws {
        try await withEngine(.gvisor) { engine in
            let sandbox = try await engine.sandbox()
            let process = try await sandbox.start(
                ProcessSpecification(
                    tag: "terminal", command: ["/bin/sh", "-c", "echo up; exec sleep 600"],
                    terminal: TerminalSize(columns: 80, rows: 24)))
            var status: EndStatus?
            for try await event in process.events {
                if case .stdout(let bytes) = event, bytes.contains(UInt8(ascii: "u")) { try await process.write([3]) }
                if case .ended(let end) = event { status = end }
            }
            #expect(status == .signalled(SIGINT))
        }
    }

    @Test func orphansThatEndAreCollected() async throws {
        try await withEngine(.gvisor) { engine in
            let sandbox = try await engine.sandbox()
            let script = """
                (sleep 0 & echo $! > orphan)
                while [ -e /proc/$(cat orphan) ]; do :; done; echo collected
                """
            #expect(try await sandbox.shell(script).stdout == "collected\n")
        }
    }

    @Test func listenersAreToldWithTheirOwners() async throws {
        try await withEngine(.gvisor) { engine in
            let sandbox = try await engine.sandbox()
            _ = try await sandbox.serve("hello", tag: "mine")
            let listeners = try await sandbox.listeners()
            #expect(listeners.map(\.port) == [sandbox.port])
            #expect(listeners.map(\.tag) == ["mine"])
        }
    }
}
