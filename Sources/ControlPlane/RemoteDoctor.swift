import CurlClient
import DeploymentCore
import E2BProtocol
import RemoteSandbox
import Sandboxes

/// What an E2B service can do for us, found by doing it: key, create, files, command, code, clean-up.
public struct RemoteDoctor: Sendable {
    /// The seconds that a sandbox of an examination lives at most.
    static let lifetime: Int64 = 120
    /// The template whose sandboxes run code.
    static let interpreter = "code-interpreter-v1"
    /// Noted on the sandboxes of an examination.
    static let label = "berth-doctor"

    private let environment: [String: String]

    /// Examines the service that `E2B_API_KEY` and its siblings name.
    public init(environment: [String: String]) { self.environment = environment }

    /// Tries everything once; what was made is removed, whatever fails.
    public func examine() async -> [Doctor.Check] {
        let curl = CurlClient()
        defer { curl.close() }
        let account: E2BAccount
        do {
            account = try E2BAccount(environment: environment)
        } catch {
            return [Self.bad("key", error)]
        }
        let client = E2BClient(account: account, curl: curl)
        let key = await check("key") {
            _ = try await client.page(E2BFilter(limit: 1))
            return "\(account.controlURL) accepts it"
        }
        guard key.verdict == .good else { return [key] }
        let mark = String(UInt64.random(in: 0 ... .max), radix: 36)
        var checks = [key] + (await examine(client, mark))
        checks.append(await cleanUp(client, mark))
        return checks
    }

    private func examine(_ client: E2BClient, _ mark: String) async -> [Doctor.Check] {
        let made = Locked<SandboxHandle?>(nil)
        let named = environment["E2B_DEFAULT_TEMPLATE"].flatMap { $0.isEmpty ? nil : $0 }
        let template = named ?? E2BProvider.Settings.defaultTemplate
        let create = await check("create") {
            let handle = try await Self.create(template, mark, client)
            made.withLock { $0 = handle }
            return "\(handle.sandbox) from \(template), agent \(handle.agentVersion)"
        }
        guard let handle = made.withLock({ $0 }) else { return [create] }
        let agent = client.agent(of: handle)
        let files = await check("files") { try await Self.tryFiles(agent) }
        let command = await check("command") {
            let process = try await agent.start(
                ProcessSpecification(tag: "", command: ["/bin/sh", "-c", "echo berth; id -un"], workingDirectory: "/"))
            let (output, status) = try await Self.end(of: process)
            guard status == .exited(code: 0), output.hasPrefix("berth\n") else {
                throw BerthError(.sandbox, "a shell ended with \(status) and printed \(VisibleText.of(output))")
            }
            let user = output.dropFirst("berth\n".count).filter { $0 != "\n" }
            return "a shell runs as \(VisibleText.of(String(user)))"
        }
        return [create, files, command, await code(client, mark)]
    }

    /// Needs a template of its own, without which models are served all the same.
    private func code(_ client: E2BClient, _ mark: String) async -> Doctor.Check {
        var check = await check("code") {
            let handle = try await Self.create(Self.interpreter, mark, client)
            let execution = try await client.run("6 * 7", in: handle)
            guard execution.result == "42" else {
                throw BerthError(
                    .sandbox, "6 * 7 is \(execution.result ?? "nothing")\(execution.error.map { ", \($0)" } ?? "")")
            }
            return "\(Self.interpreter) runs Python"
        }
        if check.verdict == .bad {
            check.verdict = .weak
            check.remedy = "code needs the template \(Self.interpreter); deployments do without it"
        }
        return check
    }

    private func cleanUp(_ client: E2BClient, _ mark: String) async -> Doctor.Check {
        let filter = E2BFilter(metadata: [Self.label: mark])
        return await check("clean-up") {
            let left = try await client.sandboxes(filter)
            for sandbox in left { try await client.kill(sandbox.handle.sandbox) }
            let stays = try await client.sandboxes(filter)
            guard stays.isEmpty else {
                let ids = stays.map(\.handle.sandbox).joined(separator: ", ")
                throw BerthError(
                    .sandbox, "killed, but still listed: \(ids)",
                    suggestion: "they end by themselves within \(Self.lifetime) s")
            }
            return "\(left.count) sandbox\(left.count == 1 ? "" : "es") killed, none left"
        }
    }

    private static func create(_ template: String, _ mark: String, _ client: E2BClient) async throws -> SandboxHandle {
        try await client.create(
            SandboxCreation(template: template, timeout: lifetime, metadata: [label: mark]))
    }

    private static func tryFiles(_ agent: EnvdClient) async throws -> String {
        let folder = "/tmp/berth-doctor"
        let text = Array("berth\n".utf8)
        try await agent.write(text, to: "\(folder)/a.txt")
        try await agent.move("\(folder)/a.txt", to: "\(folder)/b.txt")
        guard try await agent.read("\(folder)/b.txt", limit: 1_024) == text,
            try await agent.list(folder).map(\.name) == ["b.txt"]
        else { throw BerthError(.sandbox, "a file that was written reads otherwise") }
        try await agent.remove(folder)
        return "written, moved, listed, read and removed"
    }

    private static func end(of process: any SandboxProcess) async throws -> (output: String, status: ExitStatus) {
        var output: [UInt8] = []
        for try await event in process.events {
            switch event {
            case .stdout(let bytes), .stderr(let bytes): output += bytes
            case .ended(let status): return (String(decoding: output.prefix(1_000), as: UTF8.self), status)
            }
        }
        throw BerthError(.unreachable, "the output of a command ended before it did")
    }

    private func check(_ name: String, _ body: () async throws -> String) async -> Doctor.Check {
        let start = ContinuousClock.now
        do {
            let finding = try await body()
            let milliseconds = Int((ContinuousClock.now - start).milliseconds.rounded())
            return Doctor.Check(name: name, verdict: .good, finding: "\(finding), \(milliseconds) ms")
        } catch {
            return Self.bad(name, error)
        }
    }

    private static func bad(_ name: String, _ error: any Error) -> Doctor.Check {
        let remedy = (error as? BerthError)?.suggestion
        return Doctor.Check(
            name: name, verdict: .bad, finding: "\(error)",
            remedy: remedy ?? "`berth doctor --provider e2b` after checking E2B_DOMAIN, E2B_API_URL and E2B_SANDBOX_URL"
        )
    }
}
