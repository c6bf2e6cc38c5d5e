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
        /// What it is to import.
        var names: [String] = []
        /// How many of `names` it knows of.
        var told = 0
        /// There once it is ready.
        var standby: Standby?
        /// Prepares it, tells it more, and freezes it when nobody comes.
        var task: Task<Void, Never>?

        /// Takes what is new of a list with a name on each line, as long as all together are not too long.
        ///
        /// False when nothing is.
        mutating func learn(_ list: [UInt8]) -> Bool {
            let known = Set(names)
            let more = String(decoding: list, as: UTF8.self).split(separator: "\n").map(String.init)
                .filter { !known.contains($0) }
            let length = (names + more).reduce(0) { $0 + $1.utf8.count + 1 }
            guard !more.isEmpty, length <= Standby.namesLimit else { return false }
            names += more
            return true
        }
    }

    private let provider: any SandboxProvider
    private let program: [UInt8]
    private let limit: Int
    private let clock: any Clock<Duration>
    private var entries: [String: Entry] = [:] {
        didSet { readyCount.withLock { $0 = Self.readyCount(entries.values) } }
    }
    private let readyCount = Locked<[String: Int]>([:])
    private var count = 0
    private var isClosed = false

    /// How long a standby waits before it is frozen and its memory given back.
    static let idleTime = Duration.seconds(60)

    /// - Parameter limit: the most standbys of all deployments together; the oldest make room for new ones.
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
            if entry.standby != nil { counts[entry.recipe.deployment, default: 0] += 1 }
        }
    }

    /// A standby that is ready for the recipe; it belongs to the caller then.
    func take(_ recipe: StandbyRecipe) async -> Standby? {
        let ready = entries.filter { $0.value.recipe == recipe && $0.value.standby != nil }
        guard let oldest = ready.min(by: { $0.value.order < $1.value.order }) else { return nil }
        entries[oldest.key] = nil
        oldest.value.task?.cancel()
        await oldest.value.task?.value
        // One that does not wake up is found out by whoever uses it.
        if let standby = oldest.value.standby, standby.sandbox.isPaused { try? await standby.sandbox.resume() }
        return oldest.value.standby
    }

    /// Lets the standbys of the recipe import what an app that still starts has imported so far, and begins one if there is
    /// none.
    ///
    /// It takes nobody else's place: an app that starts may yet fail.
    func follow(_ recipe: StandbyRecipe, names: [UInt8], note: @escaping @Sendable (String) -> Void) {
        guard !isClosed, !Task.isCancelled, !names.isEmpty else { return }
        if entries.values.contains(where: { $0.recipe == recipe }) {
            tell(recipe, names)
        } else if entries.count < limit {
            prepare(recipe, names, note)
        }
    }

    /// Begins to prepare what is missing to `wanted` standbys of the recipe, and removes the deployment's others.
    func refill(
        _ recipe: StandbyRecipe, names: [UInt8], wanted: Int, note: @escaping @Sendable (String) -> Void
    ) async {
        await discard(recipe.deployment) { $0 != recipe }
        tell(recipe, names)
        let missing = min(wanted, limit) - entries.values.count { $0.recipe == recipe }
        guard !isClosed, missing > 0 else { return }
        for _ in 0..<missing { prepare(recipe, names, note) }
        while entries.count > limit, let oldest = entries.min(by: { $0.value.order < $1.value.order }) {
            await remove(oldest.key)
        }
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

    private func prepare(_ recipe: StandbyRecipe, _ names: [UInt8], _ note: @escaping @Sendable (String) -> Void) {
        let id = Identifier.random(16)
        count += 1
        var entry = Entry(recipe: recipe, order: count, note: note)
        _ = entry.learn(names)
        entry.told = entry.names.count
        let first = entry.names
        entry.task = Task {
            do {
                let standby = try await withDeadline(
                    Standby.deadline, clock: clock,
                    BerthError(.startFailed, "the imports were not done within \(Standby.deadline)")
                ) { [provider, program] in
                    try await Standby.prepare(recipe, id: id, program: program, names: first, provider: provider)
                }
                entries[id]?.standby = standby
                await attend(id)
            } catch {
                // Taken out by somebody else, it is theirs to destroy.
                guard entries.removeValue(forKey: id) != nil else { return }
                try? await uncancelled { [provider] in try await provider.destroy(id) }
                note("no standby, the next start is a cold one: \(error)")
            }
        }
        entries[id] = entry
    }

    /// Gives more names to the standbys of a recipe.
    private func tell(_ recipe: StandbyRecipe, _ names: [UInt8]) {
        for id in entries.keys where entries[id]?.recipe == recipe {
            // One that is not ready yet is told once it is.
            guard entries[id]?.learn(names) == true, entries[id]?.standby != nil else { continue }
            let before = entries[id]?.task
            before?.cancel()
            entries[id]?.task = Task {
                await before?.value
                await attend(id)
            }
        }
    }

    /// Tells a standby what it does not know of yet, and freezes it when nobody comes.
    private func attend(_ id: String) async {
        while let entry = entries[id], let standby = entry.standby, entry.told < entry.names.count {
            do {
                if standby.sandbox.isPaused { try await standby.sandbox.resume() }
                try await standby.importMore(Array(entry.names[entry.told...]))
                entries[id]?.told = entry.names.count
            } catch {
                // Whoever comes next tells it, or finds out that it does not answer.
                return
            }
        }
        guard let standby = entries[id]?.standby, (try? await clock.pause(for: Self.idleTime)) != nil else { return }
        try? await standby.sandbox.pause()
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
