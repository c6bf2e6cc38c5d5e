import DeploymentCore

/// Carries things out when their time has come: many times, one wait.
///
/// Times are those of the wall clock, since they outlive this process. It may be set under us, so it is looked at again
/// every `longestWait` at least. What fails is tried again, later each time.
public final class ExpiryWheel: Sendable {
    /// The longest wait between two looks at the wall clock.
    public static let longestWait = Duration.seconds(60)
    /// The wait before the first repetition of what failed, in milliseconds; it doubles up to `longestRetry`.
    public static let firstRetry: Int64 = 1_000
    /// The longest wait before a repetition, in milliseconds.
    public static let longestRetry: Int64 = 60_000

    private struct Entry {
        /// When its time comes, in milliseconds since 1970.
        var time: Int64
        /// When it is tried, which is later than `time` after a failure.
        var attempt: Int64
        var retry = ExpiryWheel.firstRetry
    }

    private struct State {
        var entries: [String: Entry] = [:]
        /// What is being carried out, each at the time that had come.
        var busy: Set<String> = []
    }

    private let clock: any Clock<Duration>
    private let now: @Sendable () -> Int64
    private let state = Locked(State())
    private let changed = Signal()

    /// Creates a wheel on which nothing is set.
    ///
    /// - Parameters:
    ///   - clock: paces the waits.
    ///   - now: the wall clock, in milliseconds since 1970.
    public init(clock: any Clock<Duration>, now: @escaping @Sendable () -> Int64) {
        self.clock = clock
        self.now = now
    }

    /// Sets or moves the time of a key, in milliseconds since 1970; nil takes it back.
    public func set(_ key: String, at time: Int64?) {
        state.withLock { $0.entries[key] = time.map { Entry(time: $0, attempt: $0) } }
        changed.notify()
    }

    /// The time of a key; nil when it has none.
    public func time(of key: String) -> Int64? { state.withLock { $0.entries[key]?.time } }

    /// Carries out what is due until the task is cancelled, each in a task of its own that is waited for.
    ///
    /// A key is not carried out twice at once. One that is moved while it is carried out keeps its new time.
    public func run(_ carryOut: @escaping @Sendable (String) async throws -> Void) async {
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                let version = changed.version
                for (key, time) in takeDue() {
                    group.addTask {
                        do {
                            try await carryOut(key)
                            self.finish(key, time)
                        } catch {
                            self.postpone(key, time)
                        }
                    }
                }
                await wait(after: version)
            }
        }
    }

    private func takeDue() -> [(key: String, time: Int64)] {
        let now = now()
        return state.withLock { state in
            let due = state.entries.filter { $0.value.attempt <= now && !state.busy.contains($0.key) }
            state.busy.formUnion(due.keys)
            return due.map { ($0.key, $0.value.time) }
        }
    }

    private func finish(_ key: String, _ time: Int64) {
        state.withLock { state in
            state.busy.remove(key)
            if state.entries[key]?.time == time { state.entries[key] = nil }
        }
        changed.notify()
    }

    private func postpone(_ key: String, _ time: Int64) {
        let now = now()
        state.withLock { state in
            state.busy.remove(key)
            guard var entry = state.entries[key], entry.time == time else { return }
            entry.attempt = now + entry.retry
            entry.retry = min(entry.retry * 2, Self.longestRetry)
            state.entries[key] = entry
        }
        changed.notify()
    }

    /// Waits for the next time, or for a change.
    private func wait(after version: UInt64) async {
        let pause = clock.beginPause()
        let now = now()
        // Few enough to look at all of them: thousands cost microseconds.
        let next = state.withLock { state in
            state.entries.filter { !state.busy.contains($0.key) }.map(\.value.attempt).min()
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.changed.wait(after: version) }
            if let next {
                let wait = min(Duration.milliseconds(max(0, next - now)), Self.longestWait)
                group.addTask { try? await pause(wait) }
            }
            await group.next()
            group.cancelAll()
        }
    }
}
