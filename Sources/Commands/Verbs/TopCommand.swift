import ArgumentParser
import ControlAPI
import DeploymentCore
import Foundation

/// `berth top`: what every deployment uses.
struct TopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top", abstract: "Show what the deployments use: processor, memory, disk, network.",
        discussion: """
            On a terminal it is drawn anew until Ctrl-C. CPU is in percent of one core; what follows a slash is the limit, \
            or `held back` while a deployment that ran into its limits again and again gets next to nothing of the \
            processors. NET is what its own interfaces saw, loopback included, EGRESS what came and went through its way out. \
            With --output json each deployment comes with its history of the last hour.
            """)

    @Argument(help: "One deployment; all of them when left out.")
    var name: String?

    @Flag(help: "Show it once.")
    var once = false

    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await output.asking { client in
            if output.isJSON { return print(try Output.json(try await client.statistics(name, samples: nil))) }
            if once || !Style.standardOutput.isTerminal {
                return print(Self.text(try await client.statistics(name, samples: 0)))
            }
            try await LiveView.run { [name] in Self.text(try await client.statistics(name, samples: 0)) }
        }
    }

    static func text(_ statistics: [StatisticsResource]) -> String {
        guard !statistics.isEmpty else { return "nothing is deployed; `berth deploy manifest.yaml` changes that" }
        var rows = [
            ["NAME", "STATE", "CPU", "MEMORY", "DISK", "NET IN", "NET OUT", "EGRESS", "PROCS", "UPTIME", "RESTARTS"]
        ]
        for one in statistics {
            guard let sample = one.current else {
                rows.append([one.deployment, one.state] + Array(repeating: "-", count: 8) + ["\(one.restarts)"])
                continue
            }
            rows.append([
                one.deployment, one.state,
                limited(
                    "\((sample.cpuPercent * 10).rounded() / 10)%",
                    sample.isHeldBack == true ? "held back" : one.limits.cpu.map { "\(Int($0 * 100))%" }),
                limited(Output.bytes(sample.memoryBytes), one.limits.memoryBytes.map(Output.bytes)),
                limited(Output.bytes(sample.diskBytes), one.limits.diskBytes.map(Output.bytes)),
                sample.networkReceivedBytes.map(Output.bytes) ?? "-", sample.networkSentBytes.map(Output.bytes) ?? "-",
                egress(sample),
                limited("\(sample.processes)", one.limits.processes.map { "\($0)" }),
                Output.duration(milliseconds: (sample.uptimeSeconds * 1_000).rounded()), "\(one.restarts)",
            ])
        }
        return Output.table(rows)
    }

    /// What came in and went out through the proxy.
    private static func egress(_ sample: UsageSample) -> String {
        guard let received = sample.egressReceivedBytes, let sent = sample.egressSentBytes else { return "-" }
        return "\(Output.bytes(received)) / \(Output.bytes(sent))"
    }

    private static func limited(_ value: String, _ limit: String?) -> String {
        limit.map { "\(value) / \($0)" } ?? value
    }
}

/// `berth pause`: freezes a deployment.
struct PauseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Freeze a deployment and give its memory back; the first request wakes it.",
        discussion: """
            Requests in flight get the manifest's drain time first. A look at /health wakes nobody. A later control plane \
            finds it awake.
            """)

    @Argument(help: "The deployment.")
    var name: String

    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await output.asking { client in
            let deployment = try await client.pause(name)
            try output.print(deployment, "\(name): \(deployment.state)")
        }
    }
}

/// `berth resume`: lets a paused deployment go on, and wakes one that sleeps.
struct ResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Let a paused deployment go on; wake one that sleeps.")

    @Argument(help: "The deployment.")
    var name: String

    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await output.asking { client in
            let deployment = try await client.resume(name)
            try output.print(deployment, "\(name): \(deployment.state)")
        }
    }
}
