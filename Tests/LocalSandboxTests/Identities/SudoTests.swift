import CurlClient
import DeploymentCore
import Foundation
import Glibc
import Sandboxes
import Testing

@testable import LocalSandbox

/// `sudo`, and root over the agent's own protocol.
@Suite(needsIdentities) struct SudoTests {
    @Test func userBecomesRootAndBackAgain() async throws {
        try await withEngine(.namespaces) { engine in
            let sandbox = try await engine.sandbox()
            let output = try await sandbox.shell(
                """
                id -u; sudo id -u; sudo -n -u user id -u; sudo -u '#0' -- id -gn; sudo -nH sh -c 'echo $HOME $USER $SUDO_USER'
                NAME=kept; export NAME; sudo sh -c 'echo "[$NAME]"'; sudo -E sh -c 'echo "[$NAME]"'; sudo NAME=given sh -c 'echo "[$NAME]"'
                sudo -i pwd; sudo pwd; sudo -s echo 'a  b' "it's"
                """)
            #expect(
                output
                    == Output(
                        stdout: """
                            1000
                            0
                            1000
                            root
                            /root root user
                            []
                            [kept]
                            [given]
                            /root
                            \(sandbox.appFolder)
                            a  b it's

                            """, stderr: "", status: .exited(code: 0)))
        }
    }

    @Test func exitCodesSignalsAndPipesAreTheCommands() async throws {
        try await withEngine(.namespaces) { engine in
            let sandbox = try await engine.sandbox()
            let output = try await sandbox.shell(
                """
                sudo sh -c 'exit 7'; echo $?; sudo sh -c 'kill -TERM $$'; echo $?
                echo piped | sudo cat; sudo sh -c 'echo wrong >&2' 2>/dev/null
                sudo nosuchprogram; echo $?; sudo -u nobody true; echo $?; sudo; echo $?; sudo -v && sudo -k true && echo quiet
                """)
            #expect(output.stdout == "7\n143\npiped\n1\n1\n1\nquiet\n")
            #expect(output.stderr.contains("sudo: nosuchprogram: command not found\n"))
            #expect(output.stderr.contains("sudo: unknown user nobody\n"))
        }
    }

    @Test func signalsAndTheEndOfSudoReachTheCommand() async throws {
        try await withEngine(.namespaces) { engine in
            let sandbox = try await engine.sandbox()
            let passed = try await sandbox.start(
                ProcessSpecification(
                    tag: "passed",
                    command: [
                        "/usr/bin/env", "sudo", "sh", "-c",
                        "trap 'echo told; exit 3' TERM; echo ready; while :; do sleep 0.01; done",
                    ]))
            var output = ""
            var status: EndStatus?
            for try await event in passed.events {
                if case .stdout(let bytes) = event { output += String(decoding: bytes, as: UTF8.self) }
                if case .ended(let end) = event { status = end }
                if output == "ready\n" { try await passed.signal(SIGTERM) }
            }
            #expect(output == "ready\ntold\n")
            #expect(status == .exited(code: 3))
            // A command whose sudo is killed has nobody left, and ends too: its pipe tells.
            let orphan = try await sandbox.shell(
                "mkfifo pipe; (sudo sh -c 'echo $$ >started; exec sleep 600' >pipe & echo $! >asker; wait) & exec 3<pipe;"
                    + " while ! [ -s started ]; do sleep 0.01; done; kill -9 $(cat asker); cat <&3; echo over")
            #expect(orphan.stdout == "over\n")
        }
    }

    @Test func rootHasNoMoreThanItNeeds() async throws {
        try await withEngine(.namespaces) { engine in
            let sandbox = try await engine.sandbox()
            let output = try await sandbox.shell(
                "sudo grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups)' /proc/self/status")
            let fields = output.stdout.split(separator: "\n").map { $0.split(whereSeparator: \.isWhitespace).joined() }
            // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID and NET_BIND_SERVICE.
            let mask = "00000000000004fb"
            let none = "0000000000000000"
            #expect(
                fields == [
                    "Groups:", "CapInh:\(none)", "CapPrm:\(mask)", "CapEff:\(mask)", "CapBnd:\(mask)",
                    "CapAmb:\(none)", "NoNewPrivs:1", "Seccomp:2",
                ])
        }
    }

    @Test func filesOfRootAreNotTheUsers() async throws {
        try await withEngine(.namespaces) { engine in
            let sandbox = try await engine.sandbox()
            let output = try await sandbox.shell(
                """
                echo mine >file; sudo chown root:root file; sudo chmod 600 file; cat file 2>/dev/null || echo closed
                sudo cat file; sudo chown user file; cat file; sudo sh -c 'echo x >/usr/x' 2>/dev/null || echo read-only
                sudo touch /root/x /run/x && ls /root 2>/dev/null || echo hidden; sudo chown 70000 file 2>/dev/null || echo unmapped
                """)
            #expect(output.stdout == "closed\nmine\nmine\nread-only\nhidden\nunmapped\n")
        }
    }

    @Test func terminalOfTheCommandIsItsOwn() async throws {
        try await withEngine(.namespaces) { engine in
            let sandbox = try await engine.sandbox()
            let process = try await sandbox.start(
                ProcessSpecification(
                    tag: "terminal",
                    command: ["/usr/bin/env", "sudo", "sh", "-c", "stty size; read line; echo \"<$line>\"; exit 4"],
                    terminal: TerminalSize(columns: 91, rows: 17), keepsInputOpen: true))
            var output = ""
            var status: EndStatus?
            var hasWritten = false
            for try await event in process.events {
                if case .stdout(let bytes) = event { output += String(decoding: bytes, as: UTF8.self) }
                if case .ended(let end) = event { status = end }
                if output.contains("17 91"), !hasWritten {
                    hasWritten = true
                    try await process.write(Array("typed\r".utf8))
                }
            }
            #expect(output.contains("<typed>"), "\(output)")
            #expect(status == .exited(code: 4))
        }
    }

    @Test func sudoIsRefusedWhereItIsOff() async throws {
        try await withEngine(.namespaces) { engine in
            var specification = engine.specification()
            specification.allowsSudo = false
            let sandbox = try await engine.provider.create(specification)
            let output = try await sandbox.shell("sudo id -u")
            #expect(output.status == .exited(code: 1))
            #expect(output.stderr.contains("nobody becomes root in this sandbox"))
        }
    }

    @Test func ownerActsAsRootThroughTheAgent() async throws {
        try await withEngine(.namespaces) { engine in
            let sandbox = try await engine.sandbox()
            let root = engine.envd(of: sandbox, user: "root")
            let process = try await root.start(
                ProcessSpecification(tag: "root", command: ["sh", "-c", "id -u; pwd; echo $HOME $USER"]))
            #expect(try await output(of: process).stdout == "0\n/root\n/root root\n")
            try await root.write(Array("secret".utf8), to: "/home/user/app/root.txt", executable: false)
            let look = try await sandbox.shell("stat -c %U root.txt . ; rm -f root.txt && sudo ls -A /root")
            #expect(look.stdout == "root\nuser\n")
            let stranger = engine.envd(of: sandbox, user: "stranger")
            let error = await #expect(throws: BerthError.self) {
                _ = try await stranger.start(ProcessSpecification(tag: "x", command: ["true"]))
            }
            let cause = error.flatMap { $0.cause }.map { "\($0)" } ?? ""
            #expect(cause.contains("does not exist here"), "\(cause)")
        }
    }
}

/// The same questions where a sandbox has one user.
@Suite(needsNamespaces) struct OneUserTests {
    @Test func rootIsRefusedWithTheReason() async throws {
        try await withEngine(.namespaces, identities: { .refused }) { engine in
            let sandbox = try await engine.sandbox()
            #expect(!sandbox.ownsIdentities)
            let output = try await sandbox.shell("sudo id -u")
            #expect(output.status == .exited(code: 1))
            #expect(output.stderr.contains("this sandbox has one user"))
            let error = await #expect(throws: BerthError.self) {
                let root = engine.envd(of: sandbox, user: "root")
                _ = try await root.start(ProcessSpecification(tag: "x", command: ["true"]))
            }
            let cause = error.flatMap { $0.cause }.map { "\($0)" } ?? ""
            #expect(cause.contains("no ids of its own"), "\(cause)")
        }
    }

    @Test func demandedSudoFailsTheCreation() async throws {
        try await withEngine(.namespaces, identities: { .refused }) { engine in
            var specification = engine.specification()
            specification.needsSudo = true
            let error = await #expect(throws: BerthError.self) { _ = try await engine.provider.create(specification) }
            #expect(error?.code == .sandbox)
            #expect(error?.message.contains("demands sudo") ?? false)
        }
    }
}

extension Engine {
    /// The agent of a sandbox for somebody who acts as `user`.
    func envd(of sandbox: any Sandbox, user: String) -> EnvdClient {
        let credentials = Data("\(user):".utf8).base64EncodedString()
        return EnvdClient(
            client: client, baseURL: "http://localhost",
            transport: .unixSocket("\(folder)/\(sandbox.id)/\(SandboxFolder.socketName)"),
            headers: [(name: "Authorization", value: "Basic \(credentials)")])
    }
}
