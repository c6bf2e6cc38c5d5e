import ArgumentParser
import ControlAPI
import DeploymentCore
import Foundation

/// `berth extend`: moves the end of a deployment.
struct ExtendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "extend", abstract: "Let a deployment live longer: so long from now on, or without end.",
        discussion: """
            berth extend iris 2h
            berth extend iris never
            berth extend iris 10m --exact

            An end that is later already stays, and so does a life without one; --exact sets the new end in any case.
            """)

    @Argument(help: "The deployment.")
    var name: String

    @Argument(help: ArgumentHelp("How long from now on: 90m, 2h, 1d; or never.", valueName: "time"))
    var time: String

    @Flag(help: "Set exactly this end, even if it comes sooner.")
    var exact = false

    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await output.reporting {
            let milliseconds = time == "never" ? nil : TimeText.milliseconds(time)
            guard milliseconds != nil || time == "never" else { throw TimeText.noLength(time) }
            try await Connection.with(starting: false) { client in
                let deployment = try await client.extend(name, milliseconds: milliseconds, isExact: exact)
                let now = Int64(Date().timeIntervalSince1970 * 1_000)
                let end = deployment.expiresAt.map { "expires in \(Output.until($0, now: now))" }
                let kept = milliseconds != nil ? "never expires, which --exact would change" : "never expires"
                try output.print(deployment, "\(name): \(end ?? kept)")
            }
        }
    }
}

/// `berth events`: what happened to deployments besides rollouts.
struct EventsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events", abstract: "Show what happened to deployments: pauses, sleep, waking, expiry, ends.",
        discussion: "Deployments that are gone are in it too. `berth history` shows the revisions.")

    @Argument(help: "One deployment; all of them when left out.")
    var name: String?

    @Option(name: [.customShort("n"), .long], help: "How many of the last events.")
    var tail = 100

    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await output.asking { client in
            let events = try await client.lifecycle(name, limit: max(0, tail))
            if output.isJSON { return print(try Output.json(events)) }
            let rows = events.map { [Output.time($0.time), $0.deployment, $0.kind, $0.detail] }
            print(Output.table([["TIME", "NAME", "EVENT", ""]] + rows))
        }
    }
}
