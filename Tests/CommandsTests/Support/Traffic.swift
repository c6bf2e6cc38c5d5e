import DeploymentCore
import Testing

/// Clients that ask for the same prediction without a pause, over connections that stay open.
actor Traffic {
    static let clients = 4

    private(set) var answers = 0
    private(set) var failures: [String] = []
    private(set) var revisions: Set<String> = []
    private var isStopping = false
    private var waiting: [(isMet: (Traffic) -> Bool, continuation: CheckedContinuation<Void, Never>)] = []

    /// Runs `body` while the clients ask; returns once all of them have stopped.
    static func during(
        _ cli: CLI, _ path: String, _ request: String, _ body: (Traffic) async throws -> Void
    ) async throws -> Traffic {
        let traffic = Traffic()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<clients {
                group.addTask { await traffic.askOnAndOn(cli, path, request) }
            }
            do {
                try await body(traffic)
            } catch {
                await traffic.stop()
                throw error
            }
            await traffic.stop()
            try await group.waitForAll()
        }
        return traffic
    }

    private func askOnAndOn(_ cli: CLI, _ path: String, _ request: String) async {
        while !isStopping {
            do {
                let answer = try await cli.ask(path, request)
                answers += 1
                if let revision = answer.revision { revisions.insert(revision) }
                if answer.status != 200 { failures.append("\(answer.status): \(answer.text)") }
            } catch {
                failures.append("\(error)")
                // Nobody is there any more: asking on would only fill the list.
                if failures.count > 100 { isStopping = true }
            }
            wake()
        }
        wake()
    }

    private func stop() { isStopping = true }

    /// Suspends until so many more answers have come, or the clients gave up.
    func more(_ count: Int) async {
        let wanted = answers + count
        await until { $0.assumeIsolated { $0.answers >= wanted } }
    }

    /// Suspends until an answer of this revision has come, or the clients gave up.
    func sees(_ revision: String) async {
        await until { $0.assumeIsolated { $0.revisions.contains(revision) } }
    }

    private func until(_ isMet: @escaping (Traffic) -> Bool) async {
        guard !isMet(self), !isStopping else { return }
        await withCheckedContinuation { waiting.append((isMet, $0)) }
    }

    private func wake() {
        let met = waiting.filter { isStopping || $0.isMet(self) }
        waiting.removeAll { isStopping || $0.isMet(self) }
        for waiter in met { waiter.continuation.resume() }
    }
}
