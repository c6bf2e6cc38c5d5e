import ArgumentParser
import DeploymentCore
import E2BProtocol
import Foundation

/// `berth webhook`: who is told of what happens to sandboxes.
struct WebhookCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "webhook", abstract: "Tell somebody of what happens to sandboxes, and see whether it arrived.",
        discussion: """
            berth webhook add http://127.0.0.1:8080/hook --event created --event killed
            berth webhook deliveries ID
            berth webhook redeliver ID EVENT

            These are the webhooks of the E2B API of this machine, or of the one that E2B_API_URL and E2B_API_KEY name.
            """,
        subcommands: [
            WebhookAddCommand.self, WebhookListCommand.self, WebhookRemoveCommand.self,
            WebhookDeliveriesCommand.self, WebhookRedeliverCommand.self,
        ])
}

/// `berth webhook add`.
struct WebhookAddCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Register a URL.",
        discussion: """
            Deliveries are signed with a secret: the one in --secret-file, or else a new one, which is printed now and \
            never again.
            """)

    /// What an event's type begins with.
    static let prefix = "sandbox.lifecycle."
    static let kinds = ["created", "updated", "paused", "resumed", "killed", "checkpointed"]

    @Argument(help: "Where events are sent, http or https.")
    var url: String

    @Option(help: "What to call it; the URL's host when left out.")
    var name: String?

    @Option(
        name: .customLong("event"),
        help: ArgumentHelp(
            "What to tell: created, updated, paused, resumed, killed, checkpointed; all when left out.",
            valueName: "kind"))
    var events: [String] = []

    @Option(help: ArgumentHelp("A file with the secret in its first line.", valueName: "path"))
    var secretFile: String?

    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await output.reporting {
            let given = try secretFile.map(Self.secret)
            let secret = given ?? Self.newSecret()
            let types = (events.isEmpty ? Self.kinds : events).map { $0.contains(".") ? $0 : Self.prefix + $0 }
            let webhook = try await WebhookClient.with { client in
                try await client.add(
                    WebhookCreation(
                        name: name ?? URLComponents(string: url)?.host ?? url, url: url, events: types,
                        secret: secret))
            }
            var shown = webhook.json.object ?? [:]
            if given == nil { shown["signatureSecret"] = .string(secret) }
            let note = given == nil ? "\nsecret \(secret), which is not shown again" : ""
            try output.print(JSONValue.object(shown), "webhook \(webhook.id)\(note)")
        }
    }

    private static func secret(_ path: String) throws -> String {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8),
            let line = text.split(whereSeparator: \.isNewline).first
        else { throw BerthError(.usage, "--secret-file \(path) cannot be read, or is empty") }
        return String(line)
    }

    private static func newSecret() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<32).map { _ in
            let text = String(UInt8.random(in: 0...255, using: &generator), radix: 16)
            return text.count == 1 ? "0\(text)" : text
        }.joined()
    }
}

/// `berth webhook list`.
struct WebhookListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "Show the webhooks.")

    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await output.reporting {
            let webhooks = try await WebhookClient.with { try await $0.webhooks() }
            let rows = webhooks.map { webhook in
                let kinds = webhook.events.map { $0.replacing(WebhookAddCommand.prefix, with: "") }
                return [
                    webhook.id, webhook.name, webhook.isEnabled ? "on" : "off", webhook.url,
                    kinds.joined(separator: ","),
                ]
            }
            try output.print(
                JSONValue.array(webhooks.map(\.json)),
                Output.table([["ID", "NAME", "STATE", "URL", "EVENTS"]] + rows))
        }
    }
}

/// `berth webhook remove`.
struct WebhookRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Forget a webhook and its deliveries.")

    @Argument(help: "The webhook's id.")
    var id: String

    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await output.reporting { try await WebhookClient.with { try await $0.remove(id) } }
    }
}

/// `berth webhook deliveries`.
struct WebhookDeliveriesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deliveries", abstract: "Show what a webhook was told, newest first, attempt by attempt.")

    @Argument(help: "The webhook's id.")
    var id: String

    @Option(name: [.customShort("n"), .long], help: "How many events, 1 to 100.")
    var limit = 25

    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await output.reporting {
            let page = try await WebhookClient.with { try await $0.deliveries(of: id, limit: limit) }
            let rows = (page["data"]?.array ?? []).flatMap { delivery in
                (delivery["attempts"]?.array ?? []).map { Self.row($0) }
            }
            try output.print(
                page, Output.table([["TIME", "EVENT", "SANDBOX", "KIND", "STATUS", "TOOK", ""]] + rows))
        }
    }

    private static func row(_ attempt: JSONValue) -> [String] {
        let time = attempt["timestamp"]?.string.flatMap { Timestamp(text: $0) }
        return [
            time.map { Output.time($0.milliseconds) } ?? "", attempt["eventId"]?.string ?? "",
            attempt["sandboxId"]?.string ?? "",
            attempt["eventType"]?.string?.replacing(WebhookAddCommand.prefix, with: "") ?? "",
            attempt["status"]?.string ?? "",
            attempt["durationMs"]?.double.map { Output.duration(milliseconds: $0) } ?? "",
            attempt["errorMessage"]?.string ?? "",
        ]
    }
}

/// `berth webhook redeliver`.
struct WebhookRedeliverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "redeliver", abstract: "Deliver an event to a webhook once more.")

    @Argument(help: "The webhook's id.")
    var id: String

    @Argument(help: "The event's id, as `berth webhook deliveries` shows it.")
    var event: String

    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await output.reporting {
            let answer = try await WebhookClient.with { try await $0.redeliver(event, to: id) }
            try output.print(answer, "event \(event) is on its way to \(id) again")
        }
    }
}
