import DeploymentCore
import Foundation
import Testing

/// Interactive sessions on a real pseudo-terminal, which Python brings along.
@Suite struct ShellTests {
    /// Runs `berth` on a terminal of 33 rows and 101 columns, and `steps` beside it; ends with 0 when they held.
    private static func script(_ arguments: String, _ steps: String) -> String {
        """
        import fcntl, os, pty, select, signal, struct, sys, termios, time

        def resize(rows, columns):
            fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

        pid, fd = pty.fork()
        if pid == 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            os.read(0, 1)
            os.execv(sys.argv[1], [sys.argv[1], \(arguments)])
        before = termios.tcgetattr(fd)
        resize(33, 101)
        os.write(fd, b"\\n")
        seen = b""

        def read(limit):
            global seen
            ready, _, _ = select.select([fd], [], [], max(0, limit - time.monotonic()))
            if not ready:
                sys.exit("nothing came after: %r" % seen)
            try:
                data = os.read(fd, 4096)
            except OSError:
                data = b""
            seen += data
            return data

        def until(*texts):
            limit = time.monotonic() + 60
            while not any(text in seen for text in texts):
                if not read(limit):
                    sys.exit("ended after: %r" % seen)

        def end():
            limit = time.monotonic() + 60
            while read(limit):
                pass
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            assert termios.tcgetattr(fd) == before, "the terminal was left changed"
            return status

        \(steps)
        """
    }

    private func run(_ cli: CLI, _ arguments: String, _ steps: String) async throws -> Command.Outcome {
        let path = try cli.write("terminal.py", Self.script(arguments, steps))
        let python = try Command(
            "/usr/bin/env", ["python3", path, Machine.berth], environment: cli.environment, folder: cli.folder)
        return await python.outcome()
    }

    @Test func shellSaysWhereThereAreNoTerminals() async throws {
        try await CLI.with(.landlock) { cli in
            try await cli.succeed("deploy", try PlainApp().write(cli))
            let outcome = try await run(
                cli, "\"shell\", \"plain\"",
                """
                until(b"berth exec plain -i -- sh")
                code = end()
                assert code == 127, code
                """)
            #expect(outcome.status == 0, "\(outcome.all)")
        }
    }

    // Landlock keeps the terminals of the whole machine away, so that those of the user are safe.
    // How far terminals go on gVisor depends on its version; see GvisorTests.
    @Test(arguments: [Isolation.process, .namespaces]) func shellIsATerminalOfItsOwn(
        _ rung: Isolation
    ) async throws {
        try await CLI.with(rung) { cli in
            try await cli.succeed("deploy", try PlainApp().write(cli))
            let outcome = try await run(
                cli, "\"shell\", \"plain\"",
                """
                until(b"$ ", b"# ")
                assert not termios.tcgetattr(fd)[3] & termios.ICANON, "the terminal is not raw"
                os.write(fd, b"stty size; echo rea''dy $BERTH_DEPLOYMENT\\n")
                until(b"ready plain")
                assert b"33 101" in seen, seen
                os.write(fd, b"echo wait''ing; until [ \\"$(stty size)\\" = '44 122' ]; do :; done; echo re''sized\\n")
                until(b"waiting")
                resize(44, 122)
                until(b"resized")
                os.write(fd, b"echo slee''ping; sleep 98765\\n")
                until(b"sleeping")
                os.write(fd, b"\\x03")
                os.write(fd, b"echo still he''re\\n")
                until(b"still here")
                os.write(fd, b"exit 5\\n")
                code = end()
                assert code == 5, code
                """)
            #expect(outcome.status == 0, "\(outcome.all)")
        }
    }

    @Test func terminalComesBackHoweverTheSessionEnds() async throws {
        try await CLI.with { cli in
            try await cli.succeed("deploy", try PlainApp().write(cli))
            let ended = try await run(
                cli, "\"exec\", \"plain\", \"-it\", \"--\", \"sh\", \"-c\", \"echo started; exec sleep 98765\"",
                """
                until(b"started")
                os.kill(pid, signal.SIGTERM)
                code = end()
                assert code == 143, code
                """)
            #expect(ended.status == 0, "\(ended.all)")
            let refused = try await run(
                cli, "\"exec\", \"plain\", \"-it\", \"--\", \"no-such-program\"",
                """
                until(b"was not found")
                code = end()
                assert code == 127, code
                """)
            #expect(refused.status == 0, "\(refused.all)")
        }
    }

    @Test func shellWithoutATerminalRunsAScript() async throws {
        try await CLI.with { cli in
            try await cli.succeed("deploy", try PlainApp().write(cli))
            let script = try cli.write("script", "echo one\nexit 4\n")
            let outcome = await cli.finish(try cli.start(["shell", "plain"], input: script))
            #expect(outcome.status == 4, "\(outcome.all)")
            #expect(outcome.stdout == "one\n")
        }
    }

    @Test func topIsDrawnAnewInItsPlace() async throws {
        try await CLI.with { cli in
            try await cli.succeed("deploy", try PlainApp().write(cli))
            for verb in ["\"top\"", "\"status\", \"--watch\""] {
                let outcome = try await run(
                    cli, verb,
                    """
                    until(b"\\x1b[J")
                    assert b"plain" in seen and b"MEMORY" in seen, seen
                    os.write(fd, b"\\x03")
                    code = end()
                    assert code == 0, code
                    """)
                #expect(outcome.status == 0, "\(outcome.all)")
            }
        }
    }
}
