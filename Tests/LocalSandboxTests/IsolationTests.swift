import DeploymentCore
import Foundation
import Glibc
import Sandboxes
import Testing

@testable import LocalSandbox

@Suite(needsNamespaces) struct IsolationTests {
    @Test func nothingOfTheHostIsVisible() async throws {
        try await withEngine(.namespaces) { engine in
            let sandbox = try await engine.sandbox()
            // Root inside has a home of this name, which is not the host's.
            let own = sandbox.ownsIdentities ? ["root", "/root"] : []
            let home = FileManager.default.homeDirectoryForCurrentUser.path
            let output = try await sandbox.shell(
                "ls -A / /home; ls -d \(home) \(engine.folder) /var /root /etc/shadow; id -u; hostname; ls /proc | grep -c '^[0-9]'"
            )
            let words = Set(output.stdout.split(whereSeparator: \.isWhitespace).map(String.init))
            #expect(
                words.subtracting(own).isDisjoint(
                    with: [home, engine.folder, "/var", "/root", "/etc/shadow", "var", "root", "mnt"]))
            #expect(words.isSuperset(of: ["user", "1000", "demo"]))
            let environments = try await sandbox.shell("cat /proc/1/environ | tr '\\0' '\\n'; ls /proc/1/fd")
            #expect(
                environments.stdout.split(separator: "\n").filter { $0.contains("=") }
                    == (sandbox.ownsIdentities ? [] : ["BERTH_SANDBOX=\(sandbox.id)"]))
        }
    }

    @Test func sandboxHasNoPowers() async throws {
        try await withEngine(.namespaces) { engine in
            let sandbox = try await engine.sandbox()
            let output = try await sandbox.shell(
                """
                grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status
                unshare --user true 2>/dev/null && echo nested
                for folder in / /usr /etc /opt /opt/berth /bin /proc/sys/kernel; do [ -w $folder ] && echo "can write $folder"; done
                find /proc -path '/proc/[0-9]*' -prune -o -path '/proc/self*' -prune -o -path '/proc/thread-self*' -prune \
                    -o -type f -writable ! -exec test -c {} ';' -print 2>/dev/null
                touch /tmp/x /run/x ~/x && echo private
                """)
            let status = output.stdout.split(separator: "\n").map { $0.split(whereSeparator: \.isWhitespace).joined() }
            #expect(status == ["CapEff:0000000000000000", "CapBnd:0000000000000000", "NoNewPrivs:1", "private"])
        }
    }

    @Test func agentHasNoDescriptorOfTheHost() async throws {
        try await withEngine(.namespaces) { engine in
            let sandbox = try await engine.sandbox()
            let output = try await sandbox.shell(
                "for p in /proc/[0-9]*; do for f in $p/fd/*; do readlink $f; done; done")
            let targets = Set(output.stdout.split(separator: "\n"))
            let foreign = targets.filter { target in
                !["/dev/null", "anon_inode", "pipe:", "socket:", "/proc/"].contains { target.hasPrefix($0) }
                    && !target.hasSuffix("/launch.log")
            }
            #expect(foreign == [])
        }
    }

    @Test(needsPython) func hostLoopbackIsNotReachable() async throws {
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                #expect(bind(socket, address, size) == 0 && listen(socket, 8) == 0)
                #expect(getsockname(socket, address, &size) == 0)
            }
            return UInt16(bigEndian: pointer.pointee.sin_port)
        }
        try await withEngine(.namespaces) { engine in
            let sandbox = try await engine.sandbox()
            let script = "import socket; print(socket.socket().connect_ex(('127.0.0.1', \(port))))"
            let process = try await sandbox.start(
                ProcessSpecification(tag: "connect", command: ["/usr/bin/python3", "-c", script]))
            #expect(try await output(of: process).stdout == "\(ECONNREFUSED)\n")
            let route = try await sandbox.shell("cat /proc/net/route | wc -l; cat /proc/net/dev | grep -c :")
            #expect(route.stdout.split(whereSeparator: \.isWhitespace) == ["1", "1"])
        }
    }

    @Test func mountsAreReadOnly() async throws {
        try await withEngine(.namespaces) { engine in
            _ = try await engine.provider.list()
            let source = engine.folder + ".env"
            try makeFolder(source, mode: 0o755)
            try SandboxFolder.write(Array("lib".utf8), to: "\(source)/lib.py", mode: 0o644)
            let sandbox = try await engine.sandbox([.init(source: source, target: "/opt/env")])
            let output = try await sandbox.shell(
                "cat /opt/env/lib.py; echo x > /opt/env/lib.py; rm /opt/env/lib.py; touch /opt/env/y")
            #expect(output.stdout == "lib")
            #expect(output.status != .exited(code: 0))
            #expect(try FileManager.default.contentsOfDirectory(atPath: source) == ["lib.py"])
        }
    }
}
