import CurlClient
import DeploymentCore
import DeploymentStore
import E2BProtocol
import Foundation
import Sandboxes
import Waiting

/// What has to be done in a sandbox between its making and its use.
struct SandboxSetup: Sendable {
    /// The tag of the start command, by which it is found in the list of processes.
    static let startTag = "start-command"
    /// The most bytes of a program's complaints that are told.
    private static let complaintLimit = 2_048
    private static let asRoot = (
        name: "Authorization", value: "Basic \(String(decoding: Base64.encode(Array("root:".utf8)), as: UTF8.self))"
    )

    let image: SandboxImage
    let record: HostedSandboxRecord
    let settings: HostedSettings
    let clock: any Clock<Duration>
    let token: String?
    let now: @Sendable () -> Int64
    let log: SandboxLog
    let tasks: OwnedTasks

    /// - Throws: `sandbox` for an image whose archive or commands fail, and what the agent says.
    func run(_ sandbox: any Sandbox) async throws {
        guard let agent = sandbox.agent else {
            throw BerthError(.sandbox, "the sandbox has no agent that could be told of its owner")
        }
        let root = sandbox.ownsIdentities ? agent.with([Self.asRoot]) : agent
        // Before the token: nobody else has a way in yet.
        if let archive = image.archive {
            let held = try HeldSandbox(sandbox, image: image, mounts: record.volumeMounts.map(\.path))
            try await SandboxFiles(of: held).unpack(archive)
        }
        if !sandbox.isolation.sharesHost { try await leaveMarks(root) }
        try await introduce(agent)
        let owned = agent.with(token.map { [(name: "X-Access-Token", value: $0)] } ?? [])
        if let command = image.startCommand { try await start(command, owned) }
        if let command = image.readyCommand { try await waitUntilReady(command, owned) }
    }

    /// What the sandbox's processes find in their environment.
    private var marks: [String: String] {
        ["E2B_SANDBOX": "true", "E2B_SANDBOX_ID": record.id, "E2B_TEMPLATE_ID": record.template]
    }

    private func introduce(_ agent: EnvdClient) async throws {
        let environment = image.environment.merging(record.environment) { $1 }.merging(marks) { $1 }
        let request = InitRequest(
            environment: environment, accessToken: token, timestamp: Timestamp(milliseconds: now()),
            defaultUser: image.user, defaultWorkdir: image.workdir ?? "~")
        let reply = try await agent.send(
            EnvdClient.Forwarded(
                method: "POST", target: "/init", headers: [("Content-Type", "application/json")],
                body: .bytes(request.json.encoded())))
        guard reply.status / 100 == 2 else {
            let cause = ConnectError(httpStatus: reply.status, body: reply.body)
            throw BerthError(.sandbox, "the sandbox's agent does not take its owner's word: \(cause.message)")
        }
    }

    /// The same as files, for those who do not inherit an environment.
    private func leaveMarks(_ agent: EnvdClient) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (name, value) in marks {
                group.addTask { try await agent.write(Array(value.utf8), to: "/run/e2b/.\(name)") }
            }
            try await group.waitForAll()
        }
    }

    private static func end(of process: EnvdProcess) async throws -> (status: ExitStatus, complaint: String) {
        var complaint: [UInt8] = []
        for try await event in process.events {
            switch event {
            case .stdout: continue
            case .stderr(let bytes): complaint += bytes.prefix(max(0, complaintLimit - complaint.count))
            case .ended(let status): return (status, String(decoding: complaint, as: UTF8.self))
            }
        }
        throw BerthError(.sandbox, "a process of the sandbox ended without saying how")
    }

    private func shell(_ command: String, tag: String) -> ProcessSpecification {
        ProcessSpecification(
            tag: tag, command: ["/bin/bash", "-l", "-c", command], workingDirectory: image.workdir ?? "~")
    }

    private func start(_ command: String, _ agent: EnvdClient) async throws {
        let process = try await agent.start(shell(command, tag: Self.startTag))
        let log = log
        let now = now
        tasks.start {
            var lines = LineCutter()
            do {
                for try await event in process.events {
                    switch event {
                    case .stdout(let bytes):
                        for line in lines.take(bytes) { log.append(line, source: "start command", at: now()) }
                    case .stderr(let bytes):
                        for line in lines.take(bytes) { log.append(line, .warn, source: "start command", at: now()) }
                    case .ended(let status):
                        log.append("the start command ended with \(status)", .warn, at: now())
                    }
                }
            } catch {
                log.append("the output of the start command is not read any more", .debug, at: now())
            }
        }
    }

    private func waitUntilReady(_ command: String, _ agent: EnvdClient) async throws {
        while true {
            let process = try await agent.start(shell(command, tag: ""))
            if try await Self.end(of: process).status == .exited(code: 0) { return }
            try await clock.pause(for: settings.readyPause)
        }
    }
}

/// Makes lines of output that comes in pieces.
struct LineCutter {
    /// The longest line in bytes; longer ones are cut into several.
    static let maximumLine = 16 << 10
    private var rest: [UInt8] = []

    init() {}

    /// The lines that are whole by now.
    mutating func take(_ bytes: [UInt8]) -> [String] {
        rest += bytes
        var lines: [String] = []
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            lines.append(String(decoding: rest[..<end], as: UTF8.self))
            rest.removeSubrange(...end)
        }
        if rest.count > Self.maximumLine {
            lines.append(String(decoding: rest, as: UTF8.self))
            rest = []
        }
        return lines
    }
}
