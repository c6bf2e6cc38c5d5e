import ArgumentParser
import CPlatform
import ControlPlane
import DeploymentCore
import Foundation

/// `berth serve`: the control plane in the foreground.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Run the control plane in the foreground; `deploy` starts one by itself.",
        discussion: """
            SIGTERM and Ctrl-C end it: rollouts are cancelled and undone, requests in flight get 10 s, the sandboxes go on \
            for the next control plane. A second signal ends it at once.
            """)

    @Option(name: .customLong("ready-descriptor"), help: .hidden)
    var readyDescriptor: Int32?

    func run() async throws {
        let configuration = try Connection.configuration()
        let plane = ControlPlane(
            configuration: configuration, environment: ProcessInfo.processInfo.environment)
        // Everything that is made from here on is this user's alone.
        umask(0o077)
        let descriptor = readyDescriptor
        if let descriptor { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        let signals = Signals(isSecondFinal: true)
        defer { signals.end() }
        try await plane.run(until: { await signals.wait() }) { endpoint in
            let text =
                "berth \(ControlPlane.version) serves: gateway http://127.0.0.1:\(endpoint.gatewayPort), "
                + "API http://127.0.0.1:\(endpoint.apiPort), home \(configuration.home)\n"
            FileHandle.standardError.write(Data(text.utf8))
            guard let descriptor, let data = try? JSONEncoder().encode(endpoint) else { return }
            let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: false)
            try? handle.write(contentsOf: data)
            try? handle.close()
        }
    }
}

/// `berth down`: ends the control plane and its sandboxes.
struct DownCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "down", abstract: "Stop the control plane and every sandbox; the next start brings them back.")

    /// How long the control plane may take to end.
    static let deadline: Int32 = 60_000

    @Flag(help: "Leave the sandboxes running for the next control plane to adopt.")
    var keepSandboxes = false

    @OptionGroup var output: OutputOptions

    func run() async throws { try await output.reporting { try await stop() } }

    private func stop() async throws {
        let configuration = try Connection.configuration()
        guard Connection.isRunning(configuration) else {
            try output.print(["state": "not running"], "no control plane runs for \(configuration.home)")
            return
        }
        try await Connection.with(starting: false) { client in
            let process = berth_pidfd_open(client.endpoint.pid)
            defer { if process >= 0 { close(process) } }
            try await client.stop(keepingSandboxes: keepSandboxes)
            guard process < 0 || berth_pidfd_wait(process, Self.deadline) == 1 else {
                throw BerthError(
                    .timeout, "the control plane (pid \(client.endpoint.pid)) has not ended within 60 s",
                    suggestion: "kill \(client.endpoint.pid); the next start sweeps up what is left")
            }
            try output.print(["state": "stopped"], keepSandboxes ? "stopped; the sandboxes go on" : "stopped")
        }
    }
}

/// `berth doctor`: what this machine can do, found by doing it.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Try everything that Berth needs here, and say how to fix what fails.")

    @Option(help: "What to try: local, this machine, or e2b, the service that the E2B_ variables name.")
    var provider = RemoteAccount.Provider.local

    @OptionGroup var output: OutputOptions

    func run() async throws {
        let configuration = try Connection.configuration()
        let checks =
            switch provider {
            case .local: await Doctor(configuration: configuration).examine()
            case .e2b: await RemoteDoctor(environment: ProcessInfo.processInfo.environment).examine()
            }
        if output.isJSON {
            print(try Output.json(checks))
        } else {
            let style = Style.standardOutput
            for check in checks {
                let mark =
                    switch check.verdict {
                    case .good: style.green("✓")
                    case .weak: style.yellow("!")
                    case .bad: style.red("✗")
                    }
                print("\(mark) \(check.name): \(check.finding)")
                if let remedy = check.remedy { print("    try: \(remedy)") }
            }
        }
        if checks.contains(where: { $0.verdict == .bad }) { throw ExitCode(BerthError.Code.sandbox.exitCode) }
    }
}
