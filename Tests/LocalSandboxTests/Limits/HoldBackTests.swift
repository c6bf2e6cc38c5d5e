import DeploymentCore
import Foundation
import Sandboxes
import Testing

@testable import LocalSandbox

/// Sandboxes that run into their limits again and again.
@Suite struct HoldBackTests {
    private let start = ContinuousClock.now

    /// The seconds at which the verdict changes, of looks once a second at how often the kernel has killed.
    private func changes(_ seconds: Range<Int>, kills: (Int) -> Int64, races: Set<Int> = []) -> [Int] {
        var holdBack = HoldBack()
        return seconds.filter {
            holdBack.look(kills: kills($0), isRacing: races.contains($0), at: start + .seconds($0))
        }
    }

    @Test func thirdKillWithinTenSecondsHoldsBackAndEachLaterOneForTwiceAsLong() {
        // One kill in every fourth second, from the first look on.
        #expect(changes(0..<60) { Int64($0 / 4) } == [12, 14, 16, 20, 24, 32, 36, 52, 56])
    }

    @Test func fewKillsAreTheLimitAtWork() {
        #expect(changes(0..<100) { Int64($0 / 6) } == [])
        // What was before the first look nobody knows.
        #expect(changes(0..<100) { _ in 50 } == [])
    }

    @Test func whoHoldsStillForAMinuteIsForgotten() {
        // Three kills at once in the seconds 1, 40 and 110: the second finds an offender, the third does not.
        let kills = { (second: Int) -> Int64 in second < 1 ? 0 : second < 40 ? 3 : second < 110 ? 4 : 5 }
        #expect(changes(0..<120, kills: kills) == [1, 3, 40, 44])
    }

    @Test func holdIsNeverLongerThanAMinute() {
        let ends = changes(0..<400) { Int64($0) }
        let lengths = zip(ends, ends.dropFirst()).enumerated().filter { $0.offset % 2 == 0 }.map {
            $0.element.1 - $0.element.0
        }
        #expect(lengths.prefix(7) == [2, 4, 8, 16, 32, 60, 60])
    }

    @Test func diskThatFillsFasterThanItIsMeasuredHoldsBackAtOnce() {
        #expect(changes(0..<20, kills: { _ in 0 }, races: [5, 6, 10]) == [5, 7, 10, 14])
    }

    @Test(
        arguments: [
            // From, to, within milliseconds, of 1000 bytes; a look follows after 50 ms.
            (0, 400, 100, false), (0, 700, 100, true), (0, 700, 500, false), (990, 995, 500, false),
            (990, 999, 50, true),
            (700, 300, 100, false), (999, 999, 100, false),
        ] as [(Int64, Int64, Int, Bool)])
    func diskRacesWhenItIsFullBeforeTheNextLook(_ from: Int64, _ to: Int64, _ milliseconds: Int, _ isRacing: Bool) {
        #expect(DiskWatch.isRacing(from: from, to: to, of: 1000, within: .milliseconds(milliseconds)) == isRacing)
    }

    @Test(
        arguments: [
            // Free at the last measurement and at the last look, and now; 400 are left to the sandbox.
            (1000, nil, 901, false), (1000, nil, 900, true), (1000, 950, 900, true),
            // What was emptied after the measurement is filled again.
            (1000, 1600, 1500, true), (1000, 1600, 1501, false), (1000, 800, 1000, false),
        ] as [(Int64, Int64?, Int64, Bool)])
    func diskIsMeasuredWhenAPartOfTheRestIsGone(_ measured: Int64, _ seen: Int64?, _ free: Int64, _ isDue: Bool) {
        #expect(DiskWatch.hasLost(from: [measured, seen], to: free, left: 400) == isDue)
    }

    @Test func whoTidiesUpAfterAKillIsLetDoSo() {
        var killed: Int64?
        let kills = [90, 110, 110, 105, 106, 120, 101, 99, 101, 100].filter {
            DiskWatch.isMore($0, than: 100, &killed)
        }
        #expect(kills == [110, 106, 120, 101])
    }

    @Test(needsGroup(.memory), needsGroup(.cpu), needsPython, arguments: [nil, 0.5] as [Double?])
    func whoStartsAgainWhatWasKilledGetsNextToNothingForAWhile(_ cpu: Double?) async throws {
        try await withEngine(Machine.strongest) { engine in
            let sandbox = try await engine.sandbox(SandboxLimits(memory: 32 << 20, cpu: cpu))
            let folder = try #require(try engine.provider.sandboxFolder(sandbox.id).state()?.group?.folder(.cpu))
            let quota = {
                folder.version == 2
                    ? KernelFile.text("\(folder.path)/cpu.max").map { String($0.prefix { $0 != " " }) }
                    : KernelFile.text("\(folder.path)/cpu.cfs_quota_us")
            }
            let whole = quota()
            let bomb = try await sandbox.start(
                ProcessSpecification(
                    tag: "bomb",
                    command: ["/bin/sh", "-c", "while :; do /usr/bin/python3 -c 'bytearray(64 << 20)'; done"]))
            try await until { try await sandbox.statistics().isHeldBack }
            #expect(quota() == "1000")
            #expect(try await sandbox.statistics().memoryKills ?? 0 >= 3)
            try await bomb.signal(SIGKILL)
            try await until { try await !sandbox.statistics().isHeldBack }
            #expect(quota() == whole)
            #expect(try await sandbox.shell("echo still here").stdout == "still here\n")
        }
    }

    @Test(needsGroup(.cpu))
    func nextControlPlaneLetsGoWhoWasHeldBack() async throws {
        try await withEngine(Machine.strongest) { engine in
            let sandbox = try await engine.sandbox(SandboxLimits(memory: 256 << 20))
            let group = try #require(try engine.provider.sandboxFolder(sandbox.id).state()?.group)
            let folder = try #require(group.folder(.cpu))
            let file = "\(folder.path)/\(folder.version == 2 ? "cpu.max" : "cpu.cfs_quota_us")"
            let whole = KernelFile.text(file)
            try group.limitProcessor(to: HoldBack.share)
            #expect(KernelFile.text(file) != whole)
            _ = try await engine.restarted().adopt(sandbox.id)
            #expect(KernelFile.text(file) == whole)
        }
    }
}
