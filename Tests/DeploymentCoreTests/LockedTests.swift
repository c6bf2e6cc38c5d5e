import DeploymentCore
import Testing

/// The lock under contention.
@Suite struct LockedTests {
    @Test func incrementsOfManyTasksAllCount() async {
        let counter = Locked(0)
        await withTaskGroup { group in
            for _ in 0..<8 {
                group.addTask { for _ in 0..<5_000 { counter.withLock { $0 += 1 } } }
            }
        }
        #expect(counter.withLock { $0 } == 40_000)
    }

    @Test func thrownErrorReleasesTheLock() {
        struct Refused: Error, Equatable {}
        let locked = Locked([1])
        #expect(throws: Refused()) { try locked.withLock { _ throws(Refused) in throw Refused() } }
        locked.withLock { $0.append(2) }
        #expect(locked.withLock { $0.count } == 2)
    }

    @Test func valueIsReleasedWithTheLock() {
        let released = Locked(false)
        do {
            let locked = Locked(Token(released: released))
            locked.withLock { $0.isUsed = true }
            #expect(!released.withLock { $0 })
        }
        #expect(released.withLock { $0 })
    }
}

/// Says when it goes.
private final class Token {
    let released: Locked<Bool>
    var isUsed = false

    init(released: Locked<Bool>) { self.released = released }

    deinit { released.withLock { $0 = true } }
}
