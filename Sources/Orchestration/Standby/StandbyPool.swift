import DeploymentCore
import Sandboxes
import Waiting

/// The standbys of all deployments: made in the background, taken by whoever starts a replica.
actor StandbyPool {
    private struct Entry {
        let recipe: StandbyRecipe
        let order: Int
        /// Told what goes wrong.
        let note: @Sendable (String) -> Void
        /// Whether an app of this recipe has been healthy; the others make room first.
        var isProven: Bool
        /// What it is to import.
        var names: [String] = []
        /// How many of `names` it has imported.
        var imported = 0
        /// There once it has imported the first ones.
        var standby: Standby?
        /// Whether there is nothing to do for it but to freeze it when nobody comes.
        var isResting = false
        /// Prepares it, lets it import more, and freezes it when nobody comes.
        var task: Task<Void, Never>?

        var isReady: Bool { standby != nil && imported == names.count }

        /// Takes what is new of a list with a name on each line, as long as all together are not too long.
        mutating func learn(_ list: [UInt8]) {
            let known = Set(names)
            let more = String(decoding: list, as: UTF8.self).split(separator: "\n").map(String.init)
                .filter { !known.contains($0) }
            let length = (names + more).reduce(0) { $0 + $1.utf8.count + 1 }
            if length <= Standby.namesLimit { names += more }
        }
    }

    private let provider: any SandboxProvider
    private let program: [UInt8]
    /// The most standbys of all deployments together.
    nonisolated let limit: Int
    private let clock: any Clock<Duration>
    private var entries: [String: Entry] = [:] {
        didSet { readyCount.withLock { $0 = Self.readyCount(entries.values) } }
    }
    private let readyCount = Locked<[String: Int]>([:])
    private var count = 0
    private var isClosed = false

    /// How long a standby waits before it is frozen and its memory given back.
    static let idleTime = Duration.seconds(60)

    /// - Parameter limit: the most standbys of all deployments together; those that no app has proven make room for new
    ///   ones, then the oldest.
    init(provider: any SandboxProvider, program: [UInt8], limit: Int, clock: any Clock<Duration>) {
        self.provider = provider
        self.program = program
        self.limit = limit
        self.clock = clock
    }

    /// How many standbys a deployment has.
    nonisolated func ready(for deployment: String) -> Int { readyCount.withLock { $0[deployment] ?? 0 } }

    private static func readyCount(_ entries: some Sequence<Entry>) -> [String: Int] {
        entries.reduce(into: [:]) { counts, entry in
            if entry.isReady { counts[entry.recipe.deployment, default: 0] += 1 }
        }
    }

    /// A standby that is ready for the recipe; it belongs to the caller then.
    func take(_ recipe: StandbyRecipe) async -> Standby? {
        let ready = entries.filter { $0.value.recipe == recipe && $0.value.isReady }
        guard let oldest = ready.min(by: { $0.value.order < $1.value.order }) else { return nil }
        entries[oldest.key] = nil
        oldest.value.task?.cancel()
        await oldest.value.task?.value
        // One that does not wake up is found out by whoever uses it.
        if let standby = oldest.value.standby, standby.sandbox.isPaused { try? await standby.sandbox.resume() }
        return oldest.value.standby
    }

    /// Lets the standbys of the recipe import what an app that still starts has imported so far, and begins one if there is
    /// none, instead of another one of the deployment that no app has proven.
    ///
    /// It takes nobody else's place: an app that starts may yet fail.
    func follow(_ recipe: StandbyRecipe, names: [UInt8], note: @escaping @Sendable (String) -> Void) async {
        guard !isClosed, !Task.isCancelled, !names.isEmpty else { return }
        if entries.values.contains(where: { $0.recipe == recipe }) { return tell(recipe, names) }
        let others = entries.filter { $0.value.recipe.deployment == recipe.deployment && !$0.value.isProven }.keys
        guard entries.count - others.count < limit else { return }
        prepare(recipe, names, isProven: false, note)
        for id in others { await remove(id) }
    }

    /// Begins to prepare what is missing to `wanted` standbys of the recipe, and removes the deployment's others.
    func refill(
        _ recipe: StandbyRecipe, names: [UInt8], wanted: Int, note: @escaping @Sendable (String) -> Void
    ) async {
        await discard(recipe.deployment) { $0 != recipe }
        tell(recipe, names)
        for id in entries.keys where entries[id]?.recipe == recipe { entries[id]?.isProven = true }
        let missing = min(wanted, limit) - entries.values.count { $0.recipe == recipe }
        guard !isClosed, missing > 0 else { return }
        for _ in 0..<missing { prepare(recipe, names, isProven: true, note) }
        while entries.count > limit, let first = entries.min(by: Self.makesRoomFirst) { await remove(first.key) }
    }

    /// Removes the standbys of a deployment.
    func discard(_ deployment: String) async { await discard(deployment) { _ in true } }

    /// Removes every standby; none is made any more.
    func close() async {
        isClosed = true
        for id in Array(entries.keys) { await remove(id) }
    }

    private func discard(_ deployment: String, where isUnwanted: (StandbyRecipe) -> Bool) async {
        let unwanted = entries.filter { $0.value.recipe.deployment == deployment && isUnwanted($0.value.recipe) }
        for id in unwanted.keys { await remove(id) }
    }

    private static func makesRoomFirst(_ one: (key: String, value: Entry), _ other: (key: String, value: Entry)) -> Bool
    {
        (one.value.isProven ? 1 : 0, one.value.order) < (other.value.isProven ? 1 : 0, other.value.order)
    }

    private func prepare(
        _ recipe: StandbyRecipe, _ names: [UInt8], isProven: Bool, _ note: @escaping @Sendable (String) -> Void
    ) {
        let id = Identifier.random(16)
        count += 1
        var entry = Entry(recipe: recipe, order: count, note: note, isProven: isProven)
        entry.learn(names)
        let first = entry.names
        entry.imported = first.count
        entry.task = task(for: id) { [provider, program] in
            let standby = try await self.importing {
                try await Standby.prepare(recipe, id: id, program: program, names: first, provider: provider)
            }
            await self.isThere(standby, id)
        }
        entries[id] = entry
    }

    private func isThere(_ standby: Standby, _ id: String) { entries[id]?.standby = standby }

    /// Gives more names to the standbys of a recipe.
    private func tell(_ recipe: StandbyRecipe, _ names: [UInt8]) {
        for (id, var entry) in entries where entry.recipe == recipe {
            entry.learn(names)
            // One that is at work asks for more by itself.
            if entry.isResting, !entry.isReady {
                entry.isResting = false
                let before = entry.task
                before?.cancel()
                entry.task = task(for: id) { await before?.value }
            }
            entries[id] = entry
        }
    }

    /// Does something for a standby, lets it import what it is to, and freezes it when nobody comes. One for which that
    /// fails is given up.
    private func task(for id: String, _ first: @escaping @Sendable () async throws -> Void) -> Task<Void, Never> {
        Task {
            do {
                try await first()
                while let entry = entries[id], let standby = entry.standby, !entry.isReady {
                    let count = entry.names.count
                    try await importing {
                        try await standby.sandbox.resume()
                        try await standby.importMore(Array(entry.names[entry.imported..<count]))
                    }
                    entries[id]?.imported = count
                }
                entries[id]?.isResting = true
                try await clock.pause(for: Self.idleTime)
                try? await entries[id]?.standby?.sandbox.pause()
            } catch {
                // Cancelled, it is somebody else's by now, or told more.
                guard !Task.isCancelled, let entry = entries.removeValue(forKey: id) else { return }
                try? await uncancelled { [provider] in try await provider.destroy(id) }
                entry.note("no standby, the next start is a cold one: \(error)")
            }
        }
    }

    private func importing<Result: Sendable>(
        _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await withDeadline(
            Standby.deadline, clock: clock,
            BerthError(.startFailed, "the imports were not done within \(Standby.deadline)"), body)
    }

    private func remove(_ id: String) async {
        guard let entry = entries.removeValue(forKey: id) else { return }
        entry.task?.cancel()
        await entry.task?.value
        do {
            try await uncancelled { [provider] in try await provider.destroy(id) }
        } catch {
            entry.note("the standby \(id) was not removed: \(error)")
        }
    }
}
