import Glibc

/// Waits for descriptors and deadlines; everything of the agent happens in its one thread.
final class EventLoop {
    /// Names a timer, to cancel it.
    struct Timer: Hashable { fileprivate let number: Int }

    private var sources: [Int32: any EventSource] = [:]
    private var timers: [Timer: (deadline: Int64, action: () -> Void)] = [:]
    private var lastTimer = 0
    /// The longest wait in milliseconds; only a safety net, as every event ends the wait.
    private static let longestWait: Int64 = 60_000

    /// Milliseconds of the monotonic clock.
    static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    func add(_ source: any EventSource) { sources[source.descriptor] = source }

    func remove(_ source: any EventSource) {
        if sources[source.descriptor] === source { sources[source.descriptor] = nil }
    }

    func schedule(after milliseconds: Int64, _ action: @escaping () -> Void) -> Timer {
        lastTimer += 1
        let timer = Timer(number: lastTimer)
        let (deadline, overflow) = Self.now.addingReportingOverflow(max(0, milliseconds))
        timers[timer] = (overflow ? Int64.max : deadline, action)
        return timer
    }

    func cancel(_ timer: inout Timer?) {
        if let running = timer { timers[running] = nil }
        timer = nil
    }

    func run(while goesOn: () -> Bool) {
        while goesOn() {
            fireTimers()
            // A timer may have been what was waited for.
            if goesOn() { wait() }
        }
    }

    private func fireTimers() {
        let now = Self.now
        let due = timers.filter { $0.value.deadline <= now }.sorted { $0.value.deadline < $1.value.deadline }
        for (timer, entry) in due where timers.removeValue(forKey: timer) != nil { entry.action() }
    }

    private func wait() {
        let nearest = timers.values.lazy.map(\.deadline).min() ?? Int64.max
        let limit = max(0, min(nearest == Int64.max ? Self.longestWait : nearest - Self.now, Self.longestWait))
        var polled: [pollfd] = []
        var watched: [any EventSource] = []
        for source in sources.values {
            let interest = source.interest
            guard interest != 0 else { continue }
            polled.append(pollfd(fd: source.descriptor, events: interest, revents: 0))
            watched.append(source)
        }
        guard poll(&polled, nfds_t(polled.count), Int32(limit)) > 0 else { return }
        for (entry, source) in zip(polled, watched) where entry.revents != 0 {
            // An earlier handler may have closed this one, and its number may be someone else's by now.
            if sources[entry.fd] === source { source.ready(entry.revents) }
        }
    }
}

extension Int16 {
    /// poll's constants, in poll's type.
    static let readable = Int16(POLLIN)
    static let writable = Int16(POLLOUT)
    static let broken = Int16(POLLERR | POLLHUP | POLLNVAL)
}
